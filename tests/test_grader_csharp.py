"""Laws of C# candidates: what is right passes, and nothing else."""

from __future__ import annotations

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home, toolchain

from workbench.sandbox.csharp import in_class
from workbench.types import Call, CallTests, ProgramTests

__all__ = ["shared_home"]

METHOD = """public int[] TwoSum(int[] nums, int target) {
    for (int i = 0; i < nums.Length; i++)
        for (int j = i + 1; j < nums.Length; j++)
            if (nums[i] + nums[j] == target) return new[] { i, j };
    return new int[0];
}
"""
BODY = "public class Solution {{ public int[] TwoSum(int[] nums, int target) {{ {} }} }}"
LISTS = METHOD.replace("int[] nums", "IList<int> nums").replace("Length", "Count")


@pytest.mark.parametrize(
    "code",
    [
        METHOD,
        f"class Any {{ {METHOD.replace('public', 'static')} }}",
        f"using System;\nnamespace N {{ public class Solution {{ {LISTS} }}\n"
        "class Program { static void Main() { } } }",
    ],
    ids=["a method", "a class", "a program"],
)
def test_right_candidates_pass_however_they_are_written(code: str) -> None:
    outcome = grade("csharp", code, TWO_SUM)
    assert outcome.verdict == "passed", outcome


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (BODY.format("return new[] { 0, 2 };"), "wrong answer"),
        (BODY.format("return null;"), "wrong answer"),
        (BODY.format('throw new Exception("no");'), "exception"),
        (BODY.format("return new[] { nums[99] };"), "exception"),
        (BODY.format("return TwoSum(nums, target + TwoSum(nums, 1)[0]);"), "exception"),
        (BODY.format("while (true) ;"), "timeout (CPU)"),
        (BODY.format("var a = new List<byte[]>(); while (true) { var b = new byte[1 << 24];"
                     " for (var i = 0; i < b.Length; i++) b[i] = 1; a.Add(b); }"), "out of memory"),
        (BODY.format("return 1"), "compiler error"),
        ("", "exception"),
        (BODY.format("Environment.Exit(0); return null;"), "exception"),
        ("public class Solution { static Solution() { Environment.Exit(0); } "
         + METHOD + "}", "exception"),
        (BODY.format('System.Diagnostics.Process.Start("/bin/true"); return null;'), "exception"),
        (BODY.format('System.IO.File.WriteAllText("made", "x"); return null;'), "exception"),
        (BODY.format('System.IO.File.ReadAllText("/etc/passwd"); return null;'), "exception"),
    ],
)  # fmt: skip
def test_wrong_candidates_never_pass(code: str, verdict: str) -> None:
    outcome = grade("csharp", code, TWO_SUM)
    assert (outcome.verdict, outcome.passed) == (verdict, False), outcome


@pytest.mark.parametrize(
    ("kind", "declared", "values"),
    [
        ("str", "string", ["", 'a"\\\n\x01', "é漢😀"]),
        ("float", "double", [0.1, -2.0, 1e300, float("inf"), float("nan")]),
        (
            "dict[str, list[float]]",
            "Dictionary<string, List<double>>",
            [{"a": [1.5, 2.0], "é": []}, {}],
        ),
        ("list[list[bool]]", "bool[][]", [[[True], []], []]),
        ("int", "long", [2**63 - 1, -(2**63)]),
    ],
)
def test_values_come_back_as_they_went(kind: str, declared: str, values: list[object]) -> None:
    tests = CallTests("same", (("x", kind),), kind, tuple(Call((one,), one) for one in values))
    outcome = grade("csharp", f"static {declared} Same({declared} x) => x;", tests)
    assert outcome.verdict == "passed", outcome


def test_whole_programs_are_judged_by_what_they_print() -> None:
    lines = "var a = Console.ReadLine().Split();\nConsole.WriteLine(Add(a[0], a[1]));"
    code = f"int Add(string a, string b) => int.Parse(a) + int.Parse(b);\n{lines}"
    assert grade("csharp", code, ADD, QUICK).passed
    assert grade("csharp", code.replace("+ int", "- int"), ADD).verdict == "wrong answer"


def test_there_are_no_test_programs_in_csharp() -> None:
    toolchain("csharp")
    outcome = grade("csharp", METHOD, ProgramTests("csharp", "", "TwoSum"))
    assert (outcome.verdict, outcome.passed) == ("skipped", None)


def test_methods_alone_are_put_into_a_class() -> None:
    whole = in_class("using A;\nint F() => 1;\nclass B { }")
    assert whole.index("using A;") < whole.index("class Solution") < whole.index("static int F()")
    assert whole.index("static int F()") < whole.index("class B { }")
    assert in_class("class B { }").endswith(" class B { }")
