"""Laws of C++ candidates: what is right passes, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home

from workbench.sandbox.records import Limits, Outcome
from workbench.types import Call, CallTests, ProgramTests, Tests

__all__ = ["shared_home"]

TESTS = ProgramTests(
    "cpp",
    """
#undef NDEBUG
#include <assert.h>
int main() {
    assert (above({1, 5}, 2) == 1);
    assert (above(vector<int>(), 0) == 0 && "empty");
    for (int i = 0; i < 5; i++) assert (above({0, i}, 2) == (i > 2 ? 1 : 0));
}
""",
    "above",
    "#include <vector>\nusing namespace std;\nint one() { return 1; }\n",
    "int above(vector<int> numbers, int limit) {\n",
)
RIGHT = """int above(vector<int> numbers, int limit) {
    int count = 0;
    for (int number : numbers) if (number > limit) count += one();
    return count;
}
"""
WHOLE = f"#include <vector>\nusing namespace std;\nint one() {{ return 1; }}\n{RIGHT}"
BODY = "int above(vector<int> numbers, int limit) {{ {} }}"


def all_of(cases: dict[str, str], tests: Tests, limits: Limits = QUICK) -> dict[str, Outcome]:
    """Grade several programs at once: most of the time goes into compiling."""
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda code: grade("cpp", code, tests, limits), cases.values())
        return dict(zip(cases, outcomes, strict=True))


def test_right_candidates_pass_however_they_are_written() -> None:
    cases = {
        "a function": RIGHT,
        "with what it was given": WHOLE,
        "another signature": RIGHT.replace("vector<int> numbers", "const vector<long>& numbers"),
        "an overload": RIGHT + "int above(int number) { return number; }",
        "a default value": RIGHT.replace("int limit)", "int limit, int start = 0)"),
        "a template": "template <class T> " + RIGHT.replace("vector<int>", "vector<T>"),
        "a main of its own": WHOLE
        + '#include <iostream>\nint main() { cout << "hello"; return 1; }',
        "macros": "#define int long long\n#define return return\n" + RIGHT,
        "printing": RIGHT.replace("int count = 0;", 'int count = 0; puts("x"); cerr << 1;'),
    }
    outcomes = all_of(cases, TESTS)
    assert {key: one.verdict for key, one in outcomes.items()} == dict.fromkeys(cases, "passed")


@pytest.mark.parametrize(
    "verdicts",
    [
        {
            BODY.format("return 1;"): "wrong answer",
            BODY.format("volatile char a[99]; return above(numbers, limit) + a[9];"): "exception",
            BODY.format('throw runtime_error("no");'): "exception",
            BODY.format("return *(volatile int*)0;"): "exception",
            BODY.format("abort();"): "exception",
            BODY.format("for (volatile int i = 0;; i++);"): "timeout (CPU)",
            BODY.format(
                "vector<string> a; for (;;) a.emplace_back(1 << 24, 'x');"
            ): "out of memory",
            BODY.format("return 1"): "compiler error",
        },
        {
            BODY.format("exit(0);"): "exception",
            BODY.format("_Exit(0);"): "exception",
            RIGHT + "struct End { End() { _Exit(0); } } end_;": "exception",
            RIGHT + "__attribute__((constructor)) void begin() { exit(0); }": "exception",
            "#include <unistd.h>\n"
            + BODY.format(
                r'string s = "{\"passed\":true}"; string f = string(3, 0) + (char)s.size() + s;'
                " for (int d = 1; d < 21; d++) write(d, f.data(), f.size()); _exit(0);"
            ): "wrong answer",
            '#include "/etc/passwd"\n' + RIGHT: "compiler error",
            # It dies before its main.
            "thread_local char big[1 << 30];" + BODY.format("return big[limit] = 1;"): "exception",
            "#include <unistd.h>\n"
            + BODY.format("for (int i = 0; i < 99; i++) fork(); return 1;"): "wrong answer",
            BODY.format('FILE* f = fopen("tests", "w"); fputs("x", f); return 1;'): "exception",
        },
    ],
    ids=["honest", "hostile"],
)
def test_wrong_candidates_never_pass(verdicts: dict[str, str]) -> None:
    outcomes = all_of({code: code for code in verdicts}, TESTS)
    assert [code for code, one in outcomes.items() if one.passed is not False] == []
    assert {code: one.verdict for code, one in outcomes.items()} == verdicts


def test_a_candidate_cannot_change_what_the_tests_mean() -> None:
    tricks = """
#undef assert
#define assert(x) ((void)0)
#define main not_main
bool operator==(const vector<int>&, const vector<int>&) { return true; }
extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept { exit(0); }
"""
    outcome = grade("cpp", tricks + BODY.format("return 2;"), TESTS)
    assert (outcome.verdict, outcome.detail[:5]) == ("wrong answer", "line ")


def test_nothing_of_this_machine_can_be_compiled_in(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("int secret = 1;")
    for line in (f'#include "{secret}"', f'asm(".incbin \\"{secret}\\"");'):
        assert grade("cpp", f"{line}\n{RIGHT}", TESTS).verdict == "compiler error"


def test_functions_and_methods_are_found_in_any_case_and_called() -> None:
    loop = """for (int i = 0; i < nums.size(); i++) for (int j = i + 1; j < nums.size(); j++)
        if (nums[i] + nums[j] == target) return {i, j}; return {};"""
    cases = {
        "snake": f"vector<int> two_sum(vector<int> nums, int target) {{ {loop} }}",
        "method": "class Solution { public: vector<int> twoSum(vector<int>& nums, int target)"
        f" {{ {loop} }} }};",
        "static": "struct Any { static std::vector<long long> TwoSum(const vector<int> nums,"
        f" long target) {{ vector<int> r = [&]() -> vector<int> {{ {loop} }}();"
        " return {r.begin(), r.end()}; } };",
    }
    outcomes = all_of(cases, TWO_SUM)
    assert {key: one.verdict for key, one in outcomes.items()} == dict.fromkeys(cases, "passed")


@pytest.mark.parametrize(
    ("kind", "declared", "values"),
    [
        ("str", "string", ["", 'a"\\\n\x01', "é漢😀"]),
        ("float", "double", [0.1, -2.0, 1e300, float("inf")]),
        (
            "dict[str, list[float]]",
            "unordered_map<string, vector<double>>",
            [{"a": [1.5, 2.0], "é": []}, {}],
        ),
        ("list[list[bool]]", "vector<vector<bool>>", [[[True], []], []]),
        ("int", "long long", [2**63 - 1, -(2**63)]),
    ],
)
def test_values_come_back_as_they_went(kind: str, declared: str, values: list[object]) -> None:
    tests = CallTests("same", (("x", kind),), kind, tuple(Call((one,), one) for one in values))
    code = f"{declared} same({declared} x) {{ return x; }}"
    assert grade("cpp", code, tests).verdict == "passed"


def test_all_that_functions_of_test_programs_take_goes_there_and_back() -> None:
    kinds = "map<char, int> a, pair<int, string> b, tuple<bool, float> c, optional<int> d, any e"
    result = "tuple<map<char, int>, pair<int, string>, tuple<bool, float>, optional<int>, any>"
    tests = ProgramTests(
        "cpp",
        """#include <cassert>
int main() {
    auto [a, b, c, d, e] = same({{'\\xff', 1}}, {2, "x\\xff\\n"}, {true, 0.1f}, {}, string("any"));
    assert(a.at('\\xff') == 1 && b.second == "x\\xff\\n" && get<1>(c) == 0.1f && !d);
    assert(any_cast<string>(e) == "any");
}""",
        "same",
        "#include <any>\nusing namespace std;\n",
        f"{result} same({kinds}) {{",
    )
    assert grade("cpp", f"{result} same({kinds}) {{ return {{a, b, c, d, e}}; }}", tests).passed


def test_tests_that_need_what_is_not_installed_are_skipped() -> None:
    missing = ProgramTests("cpp", TESTS.code, "above", "#include <no/such.hpp>\n", TESTS.stub)
    outcome = grade("cpp", RIGHT, missing)
    assert (outcome.verdict, outcome.passed) == ("skipped", None)
    assert "no/such.hpp" in outcome.detail


def test_whole_programs_are_judged_by_what_they_print() -> None:
    code = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }"
    assert grade("cpp", code, ADD).passed
    assert grade("cpp", code.replace("a + b", "a - b"), ADD).verdict == "wrong answer"
