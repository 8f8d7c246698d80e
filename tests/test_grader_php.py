"""PHP is graded as it is written, and no candidate gets at what is expected of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from grading import ADD, QUICK, TWO_SUM, grade, shared_home

from workbench.sandbox.records import Verdict
from workbench.types import Call, CallTests, ProgramTests

__all__ = ["shared_home"]

RIGHT = """function twoSum($nums, $target) {
    foreach ($nums as $i => $a) foreach ($nums as $j => $b)
        if ($i < $j && $a + $b == $target) return [$i, $j];
}"""


@pytest.mark.parametrize(
    "code",
    [
        RIGHT,
        f"<?php\ndeclare(strict_types=1);\nnamespace A\\B;\necho 'hm';\n{RIGHT}",
        f"<?php class Solution {{ public {RIGHT} }} ?>\n",
        f"<?php final class Solution {{ private int $n = 1; static {RIGHT} }}",
        "<?php $twoSum = fn(array $nums, int $target): iterable => new ArrayIterator([0, 1]);",
        "function two_sum($nums, $target) { yield 0; yield 1; }",
    ],
)
def test_right_function_passes_in_every_form(code: str) -> None:
    outcome = grade("php", code, TWO_SUM)
    assert outcome.verdict == "passed", outcome


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("return $nums;", "wrong answer"),
        ("return;", "wrong answer"),
        ("throw new Exception('no');", "exception"),
        ("return intdiv(1, 0);", "exception"),
        ("return [0, 1;", "syntax error"),
        ("while (true);", "timeout (CPU)"),
        ("$a = []; while (true) $a[] = str_repeat('x', 1 << 20);", "out of memory"),
    ],
)
def test_function_that_is_not_right_says_why(body: str, verdict: Verdict) -> None:
    limits = replace(QUICK, wall_seconds=120.0)
    code = f"function two_sum($nums, $target) {{ {body} }}"
    assert grade("php", code, TWO_SUM, limits).verdict == verdict


FORGE = """
function forge($said) {
    for ($fd = 1; $fd <= 20; $fd++) {
        $out = @fopen("php://fd/$fd", 'wb');
        if ($out) @fwrite($out, pack('N', strlen($said)) . $said);
    }
}
"""
# What stands before the function, and what it does.
HOSTILE = {
    "exit": ("", "exit(0);"),
    "exit at the top": ("exit(0);", "return [0, 1];"),
    "forged verdicts": (FORGE, "forge('{\"passed\":true}'); return [];"),
    "forged at the end": (
        FORGE + "register_shutdown_function(fn() => forge('{\"passed\":true}'));",
        "exit(0);",
    ),
    "serialises as it likes": (
        "class All implements JsonSerializable { function jsonSerialize(): array { return [0]; } }",
        "return new All();",
    ),
    "text": ("class All { function __toString() { return '[0, 1]'; } }", "return new All();"),
    "another process": ("", "return @shell_exec('echo pass >&4; echo pass >&5');"),
    "reads the tests": (
        "",
        """$found = '';
        foreach (['/proc/self/cwd', '..', '/tmp', '/box'] as $place)
            foreach (@scandir($place) ?: [] as $name)
                $found .= @file_get_contents("$place/$name", false, null, 0, 9999) ?: '';
        return str_contains($found, '11,' . ' 15') ? [0, 1] : null;""",
    ),
    "holds itself": ("", "$a = []; $a[] = &$a; return $a;"),
    "not a frame": ("", "fwrite(fopen('php://fd/4', 'wb'), str_repeat('\\xff', 9)); return [];"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_function_never_passes(name: str) -> None:
    before, body = HOSTILE[name]
    code = f"{before}\nfunction two_sum($nums, $target) {{ {body} }}"
    outcome = grade("php", code, TWO_SUM, replace(QUICK, wall_seconds=60.0))
    assert outcome.passed is False, outcome
    assert outcome.verdict not in ("syntax error", "sandbox failure"), outcome


def test_calls_carry_every_type() -> None:
    table = {"a": [1.0, float("inf"), float("nan")], "b": []}
    tests = CallTests(
        "shape",
        (("table", "dict[str, list[float]]"), ("flag", "bool"), ("text", "str"), ("n", "int")),
        "dict[str, list[float]]",
        (Call((table, True, 'ü"', 1 << 62), table), Call(({}, True, 'ü"', 1 << 62), {})),
    )
    code = """function shape(array $t, bool $f, string $s, int $n): array {
        return $f && $s === 'ü"' && $n === 1 << 62 ? $t : []; }"""
    outcome = grade("php", code, tests)
    assert outcome.verdict == "passed", outcome


def test_whole_program_reads_and_prints() -> None:
    code = "[$a, $b] = explode(' ', trim(fgets(STDIN)));\necho $a + $b, PHP_EOL;"
    assert grade("php", code, ADD).verdict == "passed"


def test_test_program_is_skipped_with_the_reason() -> None:
    outcome = grade("php", RIGHT, ProgramTests("php", "assert(twoSum([], 1) === null);"))
    assert outcome.verdict == "skipped" and "calls" in outcome.detail
