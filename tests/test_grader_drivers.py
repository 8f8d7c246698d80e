"""Laws of the drivers, whatever the language: the candidates and the tests are bare scripts here.

A script that stands for a candidate's server writes what it likes on every descriptor that it has,
so these are also the most that a hostile candidate of any language can do.
"""

from __future__ import annotations

import math
import resource
import threading
import time
from pathlib import Path

import pytest
from grading import ADD, QUICK, TWO_SUM, sandbox, shared_home

from workbench.errors import BadInput, Cancelled
from workbench.sandbox import Grader
from workbench.sandbox.building import Builder, Failed
from workbench.sandbox.drivers import run_tests
from workbench.sandbox.outputs import mismatch
from workbench.sandbox.records import Limits, Outcome
from workbench.sandbox.runtimes import RUNTIMES, Built, Toolchain
from workbench.sandbox.shared import graders
from workbench.sandbox.tiers import python, python_folders
from workbench.sandbox.tools import installation, parse
from workbench.sandbox.values import equal, to_wire
from workbench.types import Call, CallTests, OutputTests, ProgramTests, Run, Tests

__all__ = ["shared_home"]

WIRE = """
import json, os, struct, sys, time
def put(fd, value):
    text = json.dumps(value).encode()
    os.write(fd, struct.pack(">I", len(text)) + text)
def get():
    head = os.read(3, 4)
    return json.loads(os.read(3, struct.unpack(">I", head)[0])) if head else None
def ask(*args):
    put(4, {"call": "f", "args": args})
    answer = get()
    if answer is None:
        put(5, {"failed": "exception", "message": "the program ended before it answered"})
        sys.exit(1)
    if "raise" in answer:
        put(5, {"failed": "exception", "message": answer["raise"] + ": " + answer["message"]})
        sys.exit(1)
    return answer["value"]
def judge(right):
    put(5, {"passed": True} if right else {"failed": "wrong answer", "message": "no"})
def serve(f):
    while (call := get()) is not None:
        put(4, {"value": f(*call["args"])})
"""


class Script:
    """A language whose programs are taken as they are."""

    language = "script"

    def find(self) -> Toolchain | None:
        return Toolchain("script", python_folders())

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        return self.program(WIRE + code)

    def checker(self, tests: ProgramTests) -> Built:
        return self.program(WIRE + tests.code)

    def program(self, code: str) -> Built:
        return Built({"program.py": code}, (*python(), "program.py"))


SQUARE = CallTests("f", (("n", "int"),), "int", (Call((3,), 9), Call((-4,), 16)))
CHECKED = ProgramTests("script", "judge(ask(3) == 9 and ask(-4) == 16)", "f")


def grade(code: str, tests: Tests, limits: Limits = QUICK) -> Outcome:
    return run_tests(code, tests, Script(), sandbox(), limits)


@pytest.mark.parametrize("tests", [SQUARE, CHECKED], ids=["calls", "program"])
@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("serve(lambda n: n * n)", "passed"),
        ("serve(lambda n: n + 6)", "wrong answer"),
        ("serve(lambda n: n * n / 0)", "exception"),
        ("", "exception"),
        ("os._exit(0)", "exception"),
        ("os.close(4); time.sleep(1)", "exception"),
        ("get(); os.kill(os.getpid(), 11)", "exception"),
        ("get(); os.kill(os.getpid(), 9)", "killed"),
        ("while True: pass", "timeout (CPU)"),
        ("x = [bytearray(1 << 20) for _ in iter(int, 1)]", "out of memory"),
        ('get(); put(4, {"raise": "MemoryError", "message": ""})', "out of memory"),
        ('get(); put(4, {"passed": True}); get()', None),
        ('put(5, {"passed": True})', "exception"),
        ('for fd in range(5, 60):\n try: put(fd, {"passed": True})\n except OSError: pass', None),
        ("os.write(1, b'x' * (9 << 20)); serve(lambda n: n * n)", "killed"),
        ('get(); os.write(4, b"\\xff\\xff\\xff\\xff" + b"x" * (1 << 23))', None),
        ("get(); os.write(4, b'[' * 100000)", None),
        ('get(); os.write(4, struct.pack(">I", 90000) + b"[" * 90000)', None),
        ('get(); s = b\'{"value":\' + b"[" * 900 + b"]" * 900 + b"}";'
         ' os.write(4, struct.pack(">I", len(s)) + s)', None),
    ],
)  # fmt: skip
def test_a_candidate_passes_only_by_its_values(code: str, verdict: str, tests: Tests) -> None:
    outcome = grade(code, tests)
    assert outcome.passed is (verdict == "passed")
    assert verdict in (None, outcome.verdict), outcome


def test_a_true_is_no_one_and_every_call_counts() -> None:
    assert grade("serve(lambda n: n * n == 9)", SQUARE).verdict == "wrong answer"
    assert grade("serve(lambda n: 9)", SQUARE).detail == "call 2: 9, not 16"


def test_the_tests_never_reach_the_candidates_folder() -> None:
    code = "import glob\nassert not any('judge' in open(p).read() for p in glob.glob('*'))\n"
    code += "assert os.listdir() == ['program.py']\nserve(lambda n: n * n)"
    secret = ProgramTests("script", "judge(ask(3) == 9)", "f")
    assert grade(code.replace("'judge'", "'jud' 'ge(ask(3'"), secret).passed


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("print(sum(map(int, input().split())))", "passed"),
        ("print(sum(map(int, input().split())), '')\nprint()", "passed"),
        ("print(7)", "passed"),
        ("print(8)", "wrong answer"),
        ("print(7); print(7)", "wrong answer"),
        ("", "wrong answer"),
        ("print(7); raise SystemExit(3)", "exception"),
        ("print(7, flush=True)\nwhile True: pass", "timeout (CPU)"),
        ("while True: print('x' * 65536)", "killed"),
        ("open('made', 'w')", "exception"),
        ("import os\nos.fork()\nprint(7)", "exception"),
    ],
)
def test_a_program_passes_only_by_what_it_prints(code: str, verdict: str) -> None:
    assert grade(code, ADD).verdict == verdict


def test_what_waits_without_computing_is_ended_by_the_wall_clock() -> None:
    outcome = grade("import time; time.sleep(60)", ADD, Limits(cpu_seconds=1, wall_seconds=0.5))
    assert outcome.verdict == "timeout (wall)"


def test_a_checker_waits_as_long_as_its_candidate_computes() -> None:
    code = "while time.process_time() < 2: pass\nserve(lambda n: n * n)"
    assert grade(code, CHECKED, Limits(cpu_seconds=10, wall_seconds=1)).verdict == "passed"


def test_half_a_character_is_the_programs_own_error() -> None:
    assert grade("print(7) # \ud800", ADD).verdict == "passed"
    assert grade("serve(lambda n: n * n) \ud800", SQUARE).verdict == "exception"


def test_a_candidate_that_never_reads_blocks_nobody() -> None:
    large = CallTests("f", (("text", "str"),), "int", (Call(("x" * (1 << 20),), 1),))
    limits = Limits(cpu_seconds=1, wall_seconds=0.5)
    assert grade("time.sleep(60)", large, limits).verdict == "timeout (wall)"
    answered = grade('put(4, {"value": 1}); time.sleep(60)', large, limits)
    assert answered.verdict == "passed"  # it need not read what it does not need


def test_grading_stops_when_nobody_waits() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        run_tests("time.sleep(60)", SQUARE, Script(), sandbox(), Limits(), stop.is_set)
    assert time.monotonic() - start < 10


def test_tests_that_end_without_a_verdict_pass_nobody() -> None:
    for code in ("", "ask(3)", "os._exit(0)", "1 / 0", 'put(5, {"passed": 1})', "put(5, [])"):
        tests = ProgramTests("script", code, "f")
        assert grade("serve(lambda n: n * n)", tests).passed is False


def test_tests_that_a_language_cannot_run_are_skipped() -> None:
    class Unable(Script):
        def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
            raise BadInput("There is no such header.", "Install it.")

    outcome = run_tests("", SQUARE, Unable(), sandbox(), QUICK)
    assert (outcome.verdict, outcome.passed) == ("skipped", None)
    assert "no such header" in outcome.detail


def test_without_a_toolchain_even_no_code_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    php, tests = RUNTIMES.load("php"), OutputTests((Run("", "1"),))
    with Grader() as grader:
        for here, verdict in ((Toolchain("PHP 8"), "no code"), (None, "skipped")):
            monkeypatch.setattr(php, "find", lambda self, here=here: here)
            assert grader.grade(" ", tests, "php").verdict == verdict


def test_what_cannot_be_prepared_is_our_own_failure() -> None:
    class Full(Script):
        def prepare(self) -> None:
            raise OSError(28, "No space left on device")

    outcome = run_tests("serve(lambda n: n * n)", SQUARE, Full(), sandbox(), QUICK)
    assert (outcome.verdict, outcome.passed) == ("sandbox failure", None)
    assert "No space" in outcome.detail


class Compiled(Script):
    """A language whose compiler copies, and counts its work outside of the folder."""

    def __init__(self, says: str = "") -> None:
        self.says = says

    def program(self, code: str) -> Built:
        copy = f"import sys\nsys.exit({self.says!r}) if {self.says!r} else 0\n" + (
            "open('made.py', 'w').write(open('program.py').read())"
        )
        call = (*python(), "-c", copy)
        return Built({"program.py": code}, (*python(), "made.py"), (call,))


def test_what_does_not_compile_is_told_with_the_compilers_words() -> None:
    outcome = run_tests("print(7)", ADD, Compiled("line 3: error: no"), sandbox(), QUICK)
    assert (outcome.verdict, outcome.detail) == ("compiler error", "line 3: error: no")
    assert run_tests("print(7)", ADD, Compiled(), sandbox(), QUICK).verdict == "passed"


def test_a_compiler_that_never_ends_is_the_programs_own_error() -> None:
    class Endless(Script):
        def program(self, code: str) -> Built:
            return Built({}, (*python(), "-V"), ((*python(), "-c", "while True: pass"),))

    outcome = run_tests("", ADD, Endless(), sandbox(), Limits(compile_seconds=0.5))
    assert (outcome.verdict, outcome.detail) == ("compiler error", "the compiler: CPU limit")


def test_tests_that_do_not_compile_are_our_own_failure() -> None:
    class Broken(Compiled):
        def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
            return Script().server(code, tests)

    broken = Broken("error: no")
    outcome = run_tests("serve(lambda n: n * n)", CHECKED, broken, sandbox(), QUICK)
    assert (outcome.verdict, outcome.passed) == ("sandbox failure", None)


def builder() -> Builder:
    return Builder(sandbox(), Script().find() or Toolchain(""), QUICK, lambda: False)


def test_a_checker_is_built_once_and_again_when_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "own"))
    built = Compiled().program("print(7)")
    with builder().kept(built) as first:
        assert (first / "made.py").read_text() == "print(7)"
        stamp = (first / "made.py").stat().st_mtime_ns
    with builder().kept(built) as second:
        assert second == first
        assert (second / "made.py").stat().st_mtime_ns == stamp
    (first / "made.py").write_text("print(8)")
    (graders() / "checkers" / f"{first.name}.sha256").write_text("forged")
    with builder().kept(built) as third:
        assert (third / "made.py").read_text() == "print(7)"
    with builder().kept(Compiled().program("print(8)")) as other:
        assert other != first


def test_what_fails_to_build_leaves_nothing_that_counts_as_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "own"))
    with pytest.raises(Failed), builder().kept(Compiled("error: no").program("print(7)")):
        pass
    assert [one for one in (graders() / "checkers").iterdir() if one.name != "locks"] == []


@pytest.mark.parametrize(
    ("language", "piece"),
    [("java", "a<a<"), ("csharp", "x=>"), ("cpp", 'extern "C" {'), ("cpp", "namespace {")],
)
def test_no_text_takes_this_process_along(language: str, piece: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    RUNTIMES.load(language)().server(piece * 8000, TWO_SUM)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 << 10


def test_real_programs_have_a_tree_however_long_they_are() -> None:
    text = "class A { int f(List<List<Integer>> a) { return a.size() < 3 ? 1 : 2; } }\n" * 500
    assert len(parse(text.encode(), "java").named_children) == 500


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("home/node/bin/node", "home/node"),
        ("opt/bin/node", "opt"),
        ("home/bin/node", None),
        ("home/.local/bin/node", None),
        ("bin/node", None),
    ],
)
def test_no_program_is_shown_a_folder_that_holds_somebodys_home(
    place: str, shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert installation(tmp_path / place) == (shown and tmp_path / shown)


NAN = {"$float": "nan"}


@pytest.mark.parametrize(
    ("value", "expected", "kind", "same"),
    [
        (1, 1, "int", True),
        (True, 1, "int", False),
        (1.0, 1, "int", False),
        (1, True, "bool", False),
        ("1", 1, "int", False),
        (None, 1, "int", False),
        (2**63 - 1, 2**63 - 1, "int", True),
        (1, 1.0, "float", True),
        (True, 1.0, "float", False),
        (1.0 + 1e-9, 1.0, "float", True),
        (1.001, 1.0, "float", False),
        (1e9 + 1, 1e9, "float", True),
        (NAN, math.nan, "float", True),
        (1.0, math.nan, "float", False),
        ({"$float": "inf"}, math.inf, "float", True),
        ({"$float": "-inf"}, math.inf, "float", False),
        ({"$float": ["inf"]}, math.inf, "float", False),
        (1e308, math.inf, "float", False),
        (None, 1.0, "float", False),
        ("x", None, "float", False),
        (10**400, 1.0, "float", False),
        ([1, 2], [1, 2], "list[int]", True),
        ([2, 1], [1, 2], "list[int]", False),
        ([1, 2, 3], [1, 2], "list[int]", False),
        ([1, True], [1, 1], "list[int]", False),
        ([[1], []], [[1], []], "list[list[int]]", True),
        ([1, 2.0], [1, 2], "list[float]", True),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, "dict[str, int]", True),
        ({"a": 1}, {"a": 1, "b": 1}, "dict[str, int]", False),
        ({"a": True}, {"a": 1}, "dict[str, int]", False),
        ([["a", 1]], {"a": 1}, "dict[str, int]", False),
        ("é", "é", "str", True),
        ("e\u0301", "é", "str", False),
        ([1, "a", None, True], [1, "a", None, True], "anything", True),
        ([1, "a", None, 1], [1, "a", None, True], "anything", False),
    ],
)
def test_values_are_equal_by_type_and_tolerance(
    value: object, expected: object, kind: str, same: bool
) -> None:
    assert equal(value, expected, kind, 1e-6) is same


def test_what_is_sent_keeps_its_type() -> None:
    assert repr(to_wire([1, 2.5], "list[float]")) == "[1.0, 2.5]"
    assert repr(to_wire({"a": [True, 3]}, "dict[str, list[int]]")) == "{'a': [True, 3]}"
    assert to_wire(math.inf, "float") == {"$float": "inf"}
    assert to_wire((1, (2,)), "") == [1, [2]]


@pytest.mark.parametrize(
    ("printed", "run", "tolerance", "same"),
    [
        ("a \nb\n\n", Run("", "a\nb"), None, True),
        ("a\r\nb", Run("", "a\nb\n"), None, True),
        (" a", Run("", "a"), None, False),
        ("a", Run("", "a\nb"), None, False),
        ("a\nb\nc", Run("", "a\nb"), None, False),
        ("", Run("", ""), None, True),
        ("1.0000001 x", Run("", "1 x"), 1e-6, True),
        ("1.0000001 x", Run("", "1 x"), None, False),
        ("1.1", Run("", "1"), 1e-6, False),
        ("nan", Run("", "nan"), 1e-6, True),
        ("inf", Run("", "1"), 1e-6, False),
        ("1 2", Run("", "1"), 1e-6, False),
        ("x", Run("", "y"), 1e9, False),
        (" 42\n", Run("", None, "md5:a1d0c6e83f027327d8461063f4ac58a6"), None, True),
        ("43", Run("", None, "md5:a1d0c6e83f027327d8461063f4ac58a6"), None, False),
    ],
)
def test_outputs_are_equal_line_by_line(
    printed: str, run: Run, tolerance: float | None, same: bool
) -> None:
    assert (mismatch(printed, run, tolerance) is None) is same


def test_output_is_compared_within_a_tolerance_where_the_tests_say_so() -> None:
    tests = OutputTests((Run("", "0.3333\n"),), tolerance=1e-3)
    assert grade("print(1 / 3)", tests).passed
    assert grade("print(1 / 2)", tests).detail == "line 1 is '0.5', not '0.3333'"
