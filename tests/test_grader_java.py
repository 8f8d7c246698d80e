"""Java is graded as it is written, and no candidate gets at the tests or the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home

from workbench.sandbox.records import Verdict
from workbench.types import Call, CallTests, ProgramTests

__all__ = ["shared_home"]

EVENS = ProgramTests(
    "java",
    code="""
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        List<Boolean> correct = Arrays.asList(
                s.evens(Arrays.asList(1, 2, 4)).equals(Arrays.asList(2, 4)),
                s.evens(new ArrayList<>()).isEmpty(),
                s.evens(List.of(6)).get(0) == 2 * s.half(6)
        );
        if (correct.contains(false)) {
            throw new AssertionError();
        }
    }
}
""",
    entry_point="evens",
    prelude="""import java.util.*;
import java.util.stream.*;

class Solution {
    public int half(int n) {
        return n / 2;
    }

""",
    stub="    public List<Integer> evens(List<Integer> xs) throws IllegalStateException {",
)
FILTER = "return xs.stream().filter(x -> x % 2 == 0).collect(Collectors.toList());"
HEAD = "class Solution { public List<Integer> evens(List<Integer> xs)"


@pytest.mark.parametrize(
    "code",
    [
        f"import java.util.*;\nimport java.util.stream.*;\n{HEAD} {{ {FILTER} }} }}",
        f"package a.b;\npublic final {HEAD} {{ {FILTER} }} static void main(String[] a) {{}} }}",
        f"record Pair(int a, int b) {{}}\nenum E {{ A }}\n{HEAD} {{ new Pair(1, 2); {FILTER} }} }}",
        "int[] evens(int[] xs) { return Arrays.stream(xs).filter(x -> x % 2 == 0).toArray(); }",
    ],
)
def test_right_class_passes_in_every_form(code: str) -> None:
    outcome = grade("java", code, EVENS)
    assert outcome.verdict == "passed", outcome


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("return xs;", "wrong answer"),
        ("return List.of(1 / (xs.size() - xs.size()));", "exception"),
        ("return 1;", "compiler error"),
        ("for (;;) xs.size();", "timeout (CPU)"),
        ("var all = new ArrayList<int[]>(); for (;;) all.add(new int[99999]);", "out of memory"),
        ("return evens(xs);", "exception"),
    ],
)
def test_class_that_is_not_right_says_why(body: str, verdict: Verdict) -> None:
    limits = replace(QUICK, wall_seconds=120.0)
    assert grade("java", f"{HEAD} {{ {body} }} }}", EVENS, limits).verdict == verdict


FORGE = """
    static void forge(String said) {
        for (int fd = 1; fd <= 20; fd++) {
            try {
                java.lang.reflect.Field field = java.io.FileDescriptor.class.getDeclaredField("fd");
                field.setAccessible(true);
                java.io.FileDescriptor open = new java.io.FileDescriptor();
                field.setInt(open, fd);
                byte[] body = said.getBytes();
                java.io.FileOutputStream out = new java.io.FileOutputStream(open);
                out.write(new byte[] {0, 0, 0, (byte) body.length});
                out.write(body);
            } catch (Exception e) {
            }
        }
    }
"""
PASSED, TWO_FOUR = '"{\\"passed\\":true}"', '"{\\"value\\":[2,4]}"'
# What stands in the class, and what the method does.
HOSTILE = {
    "exit": ("", "System.exit(0); return xs;"),
    "halt as the class is loaded": ("static { Runtime.getRuntime().halt(0); }", "return xs;"),
    "forged verdicts": (FORGE, f"forge({PASSED}); return xs;"),
    "forged answers": (FORGE, f"forge({TWO_FOUR}); return List.of(2, 4);"),
    "forged at the end": (
        FORGE,
        "Runtime.getRuntime().addShutdownHook(new Thread(() -> forge("
        + PASSED
        + "))); System.exit(0); return xs;",
    ),
    "equal to everything": (
        """static class All extends ArrayList<Integer> {
            public boolean equals(Object other) { return true; }
            public int hashCode() { return 1; }
            public boolean isEmpty() { return true; }
            public Integer get(int i) { return 6; }
        }""",
        "return new All();",
    ),
    "false is true": (
        """static {
            try {
                java.lang.reflect.Field value = Boolean.class.getDeclaredField("value");
                value.setAccessible(true);
                value.set(Boolean.FALSE, true);
            } catch (ReflectiveOperationException | RuntimeException e) {
            }
        }""",
        "return xs;",
    ),
    "another process": (
        "",
        """try {
            new ProcessBuilder("sh", "-c", "echo pass >&4; echo pass >&5").inheritIO().start();
        } catch (java.io.IOException e) {
        }
        return xs;""",
    ),
    "thread that outlives": (
        "",
        "new Thread(() -> { while (true) { Thread.onSpinWait(); } }).start(); return xs;",
    ),
    "reads the tests": (
        "",
        """boolean[] found = {false};
        for (String place : new String[] {"/proc/self/cwd", "..", "/tmp", "/box"}) {
            try (Stream<java.nio.file.Path> all =
                    java.nio.file.Files.walk(java.nio.file.Path.of(place), 3)) {
                all.forEach(path -> found[0] |= path.endsWith("Main.java"));
            } catch (Exception e) {
            }
        }
        if (found[0]) { """
        + FILTER
        + """ }
        return xs;""",
    ),
    "throws what tests throw": ("", 'throw new AssertionError("passed");'),
    "null": ("", "return null;"),
    "holds itself": ("", "List all = new ArrayList(); all.add(all); return all;"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_class_never_passes(name: str) -> None:
    members, body = HOSTILE[name]
    code = (
        f"class Solution {{ {members}\npublic List<Integer> evens(List<Integer> xs) {{ {body} }} }}"
    )
    outcome = grade("java", code, EVENS, replace(QUICK, wall_seconds=60.0))
    assert outcome.passed is False, outcome
    assert outcome.verdict not in ("compiler error", "sandbox failure"), outcome


def test_values_come_through_both_ways() -> None:
    tests = ProgramTests(
        "java",
        code="""
public class Main {
    static void check(boolean holds, int number) {
        if (!holds) throw new AssertionError(number);
    }
    public static void main(String[] args) {
        Solution s = new Solution();
        Map<Object, Object> map = new HashMap<>();
        map.put(1, List.of('c', "\\ud800\\n\\"é"));
        map.put("k", Optional.of(new HashSet<>(List.of(1L, 2.5f))));
        for (Object one : new Object[] {null, 1, 2L, 0.1, -0.0, Double.NaN, 1e300, true, 'x', "t",
                new BigInteger("123456789012345678901234567890"), new BigDecimal("1.50"),
                (short) 3, (byte) 4, Optional.empty(), map, List.of(List.of(), Map.of())}) {
            check(Objects.equals(s.same(one), one), 1);
        }
        check(Arrays.deepEquals(s.grid(new int[][] {{1}, {}}), new int[][] {{1}, {}}), 2);
        check(s.texts("a", "b").equals(Map.of("a", Optional.of(1), "b", Optional.empty())), 3);
        check(Solution.count(7) == 1 && Solution.count(7) == 2, 4);
        check(new Solution().mine() == 1 && s.mine() == 1 && s.mine() == 2, 5);
        try {
            s.fails();
            check(false, 6);
        } catch (IllegalStateException error) {
            check(error.getMessage().equals("far"), 7);
        }
    }
}
""",
        prelude="import java.util.*;\nimport java.math.*;\nclass Solution {\n",
        stub="""public Object same(Object x);
    public int[][] grid(int[][] rows);
    public Map<String, Optional<Integer>> texts(String... names);
    public static long count(int by);
    public int mine();
    public void fails();""",
    )
    code = """class Solution {
    static int counted;
    int own;
    Object same(Object x) { return x; }
    List<int[]> grid(ArrayList<Integer[]> rows) {
        return List.of(new int[] {rows.get(0)[0]}, new int[0]);
    }
    TreeMap<String, Optional<Integer>> texts(String[] names) {
        return new TreeMap<>(Map.of(names[0], Optional.of(1), names[1], Optional.empty()));
    }
    static int count(long by) { return ++counted; }
    int mine() { return ++own; }
    void fails() { throw new IllegalStateException("far"); }
}"""
    outcome = grade("java", code, tests)
    assert outcome.verdict == "passed", outcome


def test_tests_that_call_nothing_prove_nothing() -> None:
    tests = replace(EVENS, code="class Main { public static void main(String[] a) {} }")
    assert grade("java", f"{HEAD} {{ {FILTER} }} }}", tests).verdict == "exception"


@pytest.mark.parametrize("stub", ["", "int evens", "class Solution { int evens = 1; }"])
def test_stub_without_a_method_is_skipped_with_the_reason(stub: str) -> None:
    outcome = grade("java", "class Solution {}", replace(EVENS, prelude="", stub=stub))
    assert outcome.verdict == "skipped" and "stub" in outcome.detail


@pytest.mark.parametrize(
    "code",
    [
        "static int[] twoSum(int[] nums, int target) { return new int[] {0, 1}; }",
        "public class A { List<Long> two_sum(List<Long> n, long t) { return List.of(0L, 1L); } }",
        "class Solution { static class In { Integer[] TwoSum(LinkedList<Integer> n, Integer t) "
        "{ return n.size() == t ? null : new Integer[] {0, 1}; } } }",
    ],
)
def test_calls_find_the_method_in_any_style(code: str) -> None:
    outcome = grade("java", code, TWO_SUM)
    assert outcome.verdict == "passed", outcome


def test_calls_carry_every_type() -> None:
    table = {"a": [1.0, float("inf"), float("nan")], "b": []}
    tests = CallTests(
        "shape",
        (("table", "dict[str, list[float]]"), ("flag", "bool"), ("text", "str"), ("n", "int")),
        "dict[str, list[float]]",
        (Call((table, True, "ü", 1 << 40), table),),
    )
    code = """class Solution {
    Map<String, double[]> shape(Map<String, double[]> t, boolean f, String s, long n) {
        return f && s.equals("ü") && n == 1L << 40 ? t : null; } }"""
    outcome = grade("java", code, tests)
    assert outcome.verdict == "passed", outcome


def test_whole_program_reads_and_prints() -> None:
    code = """package x;
import java.util.Scanner;
class Helper {}
public class Sum { public static void main(String[] args) {
    Scanner in = new Scanner(System.in);
    System.out.println(in.nextInt() + in.nextInt());
} }"""
    assert grade("java", code, ADD).verdict == "passed"
