"""Laws of Go candidates: what is right passes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home

from workbench.sandbox.go import Source
from workbench.types import Call, CallTests, ProgramTests

__all__ = ["shared_home"]

TESTS = ProgramTests(
    "go",
    """package main

import (
    "testing"
    "strings"
    "github.com/stretchr/testify/assert"
)

func TestAbove(t *testing.T) {
    assert := assert.New(t)
    assert.Equal([]int{5}, Above([]int{1, 5}, 2))
    assert.Equal([]int{}, Above([]int{}, One()))
    for i := 3; i < 6; i++ {
        assert.Equal([]int{i}, Above([]int{0, i}, 2), "one")
    }
}
""",
    "Above",
    'import (\n    "sort"\n    "math"\n)\n\nfunc One() int { return int(math.Abs(-1)) }\n',
    "func Above(numbers []int, limit int) []int {\n",
)
RIGHT = """func Above(numbers []int, limit int) []int {
    found := make([]int, 0)
    for _, number := range numbers {
        if number > limit {
            found = append(found, number * One())
        }
    }
    return found
}
"""
GIVEN = f"package main\n\n{TESTS.prelude}\n{RIGHT}"
BODY = "func Above(numbers []int, limit int) []int {{ {} }}"


@pytest.mark.parametrize(
    "code",
    [
        RIGHT,
        GIVEN,  # which imports what it does not use
        RIGHT + 'func main() { fmt.Println("hello") }',
        'import "fmt"\n' + RIGHT.replace("found :=", 'fmt.Println("x"); found :=', 1),
        RIGHT.replace("found :=", 'println("x"); strings.ToUpper(""); found :=', 1),
        RIGHT.replace("[]int", "[]T").replace("Above(", "Above[T int](").replace(
            "limit int", "limit T").replace("One()", "T(One())"),
    ],
    ids=["a function", "what it was given", "a main", "printing", "a usual import", "generic"],
)  # fmt: skip
def test_right_candidates_pass_however_they_are_written(code: str) -> None:
    outcome = grade("go", code, TESTS)
    assert outcome.verdict == "passed", outcome


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (BODY.format("return []int{4}"), "wrong answer"),
        (BODY.format("return nil"), "wrong answer"),  # nil is no empty slice
        (BODY.format('panic("no")'), "exception"),
        (BODY.format("return numbers[len(numbers):len(numbers)+9]"), "exception"),
        (BODY.format("return append(Above(numbers, limit), 1)"), "exception"),
        (BODY.format("for {}"), "timeout (CPU)"),
        (BODY.format("var a [][]byte; for { b := make([]byte, 1<<24); a = append(a, b);"
                     " for i := range b { b[i] = 1 } }"), "out of memory"),
        (BODY.format("select {}"), "exception"),  # all goroutines are asleep
        (BODY.format("go func() { panic(1) }(); select {}"), "exception"),
        (BODY.format("return"), "compiler error"),
        ('import "os"\n' + RIGHT, "compiler error"),  # imported, not given, and not used
        ('import "os"\n' + BODY.format("os.Exit(0); return nil"), "exception"),
        ('import "os"\n' + RIGHT + "func init() { os.Exit(0) }", "exception"),
        ('import "os"\n' + BODY.format(
            'for fd := uintptr(1); fd < 21; fd++ { os.NewFile(fd, "").WriteString('
            '"\\x00\\x00\\x00\\x0f{\\"passed\\":true}") }; os.Exit(0); return nil'), None),
        ('import "workbench/wire"\n' + BODY.format("wire.Pass(); return nil"), "exception"),
        ('import "os/exec"\n' + BODY.format(
            'if exec.Command("/bin/true").Run() == nil { for {} }; return nil'), "wrong answer"),
        ('import "os"\n' + BODY.format(
            'if os.WriteFile("made", nil, 0666) == nil { for {} }; return nil'), "wrong answer"),
        ('import _ "embed"\n//go:embed /etc/passwd\nvar secret string\n' + RIGHT, "compiler error"),
        ('import "C"\n' + RIGHT, "compiler error"),
    ],
)  # fmt: skip
def test_wrong_candidates_never_pass(code: str, verdict: str | None) -> None:
    outcome = grade("go", code, TESTS)
    assert outcome.passed is False
    assert verdict in (None, outcome.verdict), outcome


def test_a_candidate_cannot_change_what_the_tests_mean() -> None:
    tricks = """
func One() int { return 7 }
type int32 = string
func TestAbove(t int) {}
"""
    code = tricks + BODY.format("return []int{0}")
    assert grade("go", code, TESTS).verdict == "wrong answer"


def test_functions_are_found_in_any_case_and_called() -> None:
    loop = """ for i := range nums { for j := i + 1; j < len(nums); j++ {
        if nums[i] + nums[j] == target { return []int{i, j} } } }; return nil }"""
    for name in ("TwoSum", "twoSum", "two_sum"):
        code = f"package solution\n\nfunc {name}(nums []int, target int) []int {{{loop}"
        assert grade("go", code, TWO_SUM).verdict == "passed"


def test_values_come_back_as_they_went() -> None:
    kind = "dict[str, list[float]]"
    values = ({"a": [1.5, 2.0, float("inf")], 'é"\n': []}, {})
    tests = CallTests("same", (("x", kind),), kind, tuple(Call((one,), one) for one in values))
    code = "func Same(x map[string][]float64) map[string][]float64 { return x }"
    assert grade("go", code, tests).passed
    limits = CallTests("same", (("x", "int"),), "int", (Call((2**63 - 1,), 2**63 - 1),))
    assert grade("go", "func same(x int64) int64 { return x }", limits).passed
    assert grade("go", "func same(x int64) any { return float64(x) }", limits).passed is False


def test_interfaces_keep_the_types_of_what_they_hold() -> None:
    tests = ProgramTests(
        "go",
        """package main
import ("testing"; "github.com/stretchr/testify/assert")
func TestSame(t *testing.T) {
    values := []interface{}{4, nil, []interface{}{}, 23.0, int8(9), "ad\\xff", 'c', [2]int{1, 2},
        map[rune]int{'a': 1}, map[interface{}]interface{}{"a": 1, 2: []string{"b"}}, true}
    one, two := Same(values, 3.0)
    assert.Equal(t, values, one)
    assert.Equal(t, [2]interface{}{3.0, 3}, two)
}
""",
        "Same",
        "",
        "func Same(values []interface{}, x interface{}) ([]interface{}, [2]interface{}) {",
    )
    code = tests.stub + " return values, [2]interface{}{x, int(x.(float64))} }"
    assert grade("go", code, tests).verdict == "passed"
    assert grade("go", code.replace("int(x.", "int64(x."), tests).verdict == "wrong answer"


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        ("assert.InDelta(t, 1.0, F(1.05), 0.1)", True),
        ("assert.InDelta(t, 1.0, F(1.2), 0.1)", False),
        ("assert.EqualValues(t, int32(1), F(1))", True),
        ("assert.Equal(t, int32(1), int(F(1)))", False),
        ("assert.ElementsMatch(t, []int{1, 1, 2}, []int{2, 1, 2})", False),
        ("assert.NotEqual(t, 1.0, F(1))", False),
        ('t.Errorf("no")', False),
        ('panic("no")', False),
    ],
)
def test_assertions_judge_as_testifys_do(check: str, passes: bool) -> None:
    code = f"package main\nfunc TestF(t *testing.T) {{ F(1); {check} }}"
    imports = 'import ("testing"; "github.com/stretchr/testify/assert")'
    tests = ProgramTests(
        "go", code.replace("\n", f"\n{imports}\n", 1), "F", "", "func F(x float64) float64 {"
    )
    assert grade("go", "func F(x float64) float64 { return x }", tests).passed is passes


def test_nothing_of_this_machine_can_be_compiled_in(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    code = f'import _ "embed"\n//go:embed {tmp_path}/secret\nvar secret string\n{RIGHT}'
    assert grade("go", code, TESTS).verdict == "compiler error"


def test_whole_programs_are_judged_by_what_they_print() -> None:
    code = 'import "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }'
    code = f"package main\n{code}"
    assert grade("go", code, ADD, QUICK).passed
    assert grade("go", code.replace("a + b", "a - b"), ADD).verdict == "wrong answer"


def test_a_source_is_taken_apart() -> None:
    source = Source(
        'package x\nimport r "math/rand"\nvar A, B = r.Int(), 1\nfunc (a T) M() { r.Int() }'
    )
    assert source.imports == {"r": 'r "math/rand"'}
    assert source.names == {"A", "B"}
    assert source.used() == {"r"}
    assert source.used({"A"}) == {"r"}
    assert b"package" not in source.body() and b"M()" in source.body({"A"})
