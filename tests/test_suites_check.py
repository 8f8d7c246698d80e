"""The check of a suite, and the commands that list, show and check: what they find and say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench.cancel import cancelled_by
from workbench.cli.suites import suites_app
from workbench.errors import Cancelled, UnknownName, WorkbenchError
from workbench.progress import heard_by
from workbench.sandbox import Limits, Outcome, Verdict
from workbench.suites import SUITES, Suite
from workbench.suites.checking import Failure, Finding, check_suite
from workbench.types import (
    Example,
    OutputTests,
    ProgramTests,
    Question,
    Reference,
    Run,
    SourceFile,
    Tests,
)

PASS = ProgramTests(language="python", code="assert f() == 1\n", entry_point="f")


def example(
    id_: str,
    *solutions: str,
    tests: Tests | None = PASS,
    text: str = "",
    prefix: str = "",
    files: tuple[SourceFile, ...] = (),
) -> Example:
    question = Question(
        id_, "generate", text or f"Write {id_}.", target_language="python", files=files
    )
    return Example(question, Reference(texts=solutions, tests=tests, prefix=prefix))


def suite(*examples: Example, metrics: tuple[str, ...] = ("pass@1",)) -> Suite:
    return Suite("s", "generate", examples, "MIT", "me", "here", "0" * 64, metrics)


class ByWord:
    """A grader that goes by words in the code, in threads, and remembers what it was given."""

    limits = Limits()
    workers = 4

    def __init__(self, verdicts: Mapping[str, Verdict], wait: float = 0.0) -> None:
        self._verdicts = verdicts
        self._wait = wait
        self.graded: list[tuple[str, Tests, str]] = []

    def grade(self, code: str, tests: Tests, language: str) -> Outcome:
        time.sleep(self._wait)
        self.graded.append((code, tests, language))
        for word, verdict in self._verdicts.items():
            if word in code:
                return Outcome(verdict, f"because of {word}")
        return Outcome("passed")


def test_every_solution_of_every_example_is_graded() -> None:
    grader = ByWord({})
    one, two = "def f(): return 1\n", "f = lambda: 1\n"
    report = check_suite(suite(example("a", one, two), example("b", one)), grader)
    assert sorted(code for code, _, _ in grader.graded) == sorted([one, two, one])
    assert (report.examples, report.solutions, report.passed) == (2, 3, 3)
    assert report.is_sound


def test_what_fails_is_named_in_the_order_of_the_suite() -> None:
    verdicts: dict[str, Verdict] = {"slow": "timeout (CPU)", "bad": "wrong answer"}
    examples = [
        example(str(i), f"def f(): return '{'bad' if i % 3 else 'slow'}'\n") for i in range(9)
    ]
    report = check_suite(suite(*examples), ByWord(verdicts, wait=0.001))
    assert [one.id for one in report.failures] == [str(i) for i in range(9)]
    assert report.failures[0] == Failure("0", "timeout (CPU)", "because of slow")
    assert report.passed == 0 and not report.is_sound


def test_what_could_not_be_judged_is_no_failure() -> None:
    verdicts: dict[str, Verdict] = {"odd": "sandbox failure", "none": "skipped"}
    report = check_suite(
        suite(
            example("a", "def f(): odd\n"), example("b", "def f(): none\n"), example("c", "f = 1")
        ),
        ByWord(verdicts),
    )
    assert [one.id for one in report.unjudged] == ["a", "b"]
    assert not report.failures and report.is_sound
    assert report.passed == 1


def test_solutions_are_graded_as_answers_are() -> None:
    grader = ByWord({})
    head = 'def f():\n    """One."""\n'
    check_suite(suite(example("a", "    return 1\n", prefix=head)), grader)
    assert grader.graded[0][0] == f"{head}    return 1\n"


def test_whole_programs_are_graded_in_the_language_asked_for() -> None:
    grader = ByWord({})
    tests = OutputTests((Run("", "1"),))
    asked = Example(
        Question("a", "translate", "x", target_language="go"), Reference(("package main",), tests)
    )
    check_suite(suite(asked), grader)
    assert grader.graded == [("package main", tests, "go")]


def test_an_error_of_the_grader_ends_the_check() -> None:
    class Broken(ByWord):
        def grade(self, code: str, tests: Tests, language: str) -> Outcome:
            self.graded.append((code, tests, language))
            time.sleep(0.02)  # as a grader takes, so that the check can end before all were tried
            raise WorkbenchError("No sandbox.")

    grader = Broken({})
    with pytest.raises(WorkbenchError, match="No sandbox"):
        check_suite(suite(*(example(str(i), "f = 1") for i in range(500))), grader)
    assert len(grader.graded) < 500


def test_a_check_that_nobody_waits_for_ends() -> None:
    stop = threading.Event()
    grader = ByWord({}, wait=0.01)

    def heard(done: float, total: float | None, what: str, unit: str) -> None:
        stop.set()

    with cancelled_by(stop), heard_by(heard), pytest.raises(Cancelled):
        check_suite(suite(*(example(str(i), "f = 1") for i in range(2000))), grader)
    assert len(grader.graded) < 2000


CODE = "def g(items):\n    return sorted(items)\n"


@pytest.mark.parametrize(
    ("examples", "finding"),
    [
        (
            (example("a", "f = 1"), example("a", "f = 2", text="x")),
            Finding("id given twice", ("a",)),
        ),
        ((example("a", "f = 1", tests=None),), Finding("no tests", ("a",))),
        ((example("a", " \n"),), Finding("empty reference", ("a",))),
        (
            (example("a", CODE, text=f"Write\n{CODE.replace('    ', chr(9))}"),),
            Finding("reference stands in the question", ("a",)),
        ),
        (
            (example("a", CODE, files=(SourceFile("x.py", f"import os\n{CODE}"),)),),
            Finding("reference stands in the question", ("a",)),
        ),
    ],
)
def test_what_is_wrong_with_a_suite_is_found(
    examples: tuple[Example, ...], finding: Finding
) -> None:
    report = check_suite(suite(*examples))
    assert report.findings == (finding,)
    assert not report.is_sound


def test_a_summary_suite_needs_references_and_no_tests() -> None:
    rows = (example("a", "Sorts a list.", tests=None), example("b", tests=None))
    report = check_suite(suite(*rows, metrics=("BLEU",)))
    assert report.findings == (Finding("no reference", ("b",)),)


def test_a_summary_is_no_program_to_grade() -> None:
    grader = ByWord({})
    asked = Example(
        Question("a", "summarize", "x", language="python"), Reference(("It adds.",), PASS)
    )
    report = check_suite(suite(asked, metrics=("BLEU",)), grader)
    assert (grader.graded, report.solutions, report.is_sound) == ([], 0, True)


def test_the_same_question_twice_is_worth_knowing_and_no_fault() -> None:
    rows = (example("a", "f = 1", text="x"), example("b", "f = 2", text="x"), example("c", "f = 3"))
    report = check_suite(suite(*rows))
    assert report.findings == (Finding("same question under several ids", ("a", "b")),)
    assert report.is_sound


# --- the commands ----------------------------------------------------------------------


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(suites_app, args, terminal_width=200)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of a file of problems, which are right unless said otherwise."""

    def write(*solutions: str) -> str:
        rows: list[dict[str, Any]] = [
            {
                "id": f"p{i}",
                "text": "Write add.",
                "reference": solution,
                "tests": {"program": "assert add(1, 2) == 3\n", "entry_point": "add"},
                "tags": {"difficulty": "[easy]"},
            }
            for i, solution in enumerate(solutions)
        ]
        path = tmp_path / "own.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"


def test_the_list_shows_every_suite() -> None:
    code, said = run("list")
    assert code == 0
    assert all(entry.name in said for entry in SUITES)
    assert "cosqa" in said
    code, said = run("list", "--json")
    listed = json.loads(said)
    assert {row["name"] for row in listed["problems"]} == {entry.name for entry in SUITES}
    assert all(isinstance(row["is_here"], bool) for row in listed["problems"])


def test_a_suite_shows_what_it_is(own: Callable[..., str]) -> None:
    path = own(RIGHT, RIGHT)
    code, said = run("show", path)
    assert code == 0
    for word in ("pass@1", "[easy] 2", "own.jsonl"):
        assert word in said
    code, said = run("show", path, "--json")
    described = json.loads(said)
    assert described["examples"] == 2 and described["tags"] == {"difficulty": {"[easy]": 2}}


def test_a_problem_shows_question_reference_and_tests(own: Callable[..., str]) -> None:
    path = own(RIGHT)
    code, said = run("show", path, "p0")
    assert code == 0
    assert said.index("Write add.") < said.index("return a + b") < said.index("assert add(1, 2)")
    code, said = run("show", path, "p0", "--json")
    assert json.loads(said)["question"]["text"] == "Write add."


def test_an_unknown_problem_is_an_error_of_the_caller(own: Callable[..., str]) -> None:
    with pytest.raises(UnknownName, match="Did you mean p0"):
        run("show", own(RIGHT), "p1")


def test_the_form_of_own_files_is_shown() -> None:
    code, said = run("show", "file")
    assert code == 0 and "entry_point" in said


@pytest.fixture
def grader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the sandbox: what these tests look at is what is made of its verdicts."""

    class Fake(ByWord):
        def __init__(self, workers: int | None) -> None:
            super().__init__({"a - b": "wrong answer"})

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr("workbench.sandbox.Grader", Fake, raising=False)


def test_a_check_exits_by_what_it_found(own: Callable[..., str], grader: None) -> None:
    code, said = run("check", own(RIGHT, RIGHT))
    assert code == 0 and "2 of 2 solutions pass: sound" in said
    code, said = run("check", own(RIGHT, WRONG))
    assert code == 1
    assert "p1" in said and "wrong answer" in said and "1 of 2 solutions pass: not sound" in said


def test_a_check_as_json_says_all(own: Callable[..., str], grader: None) -> None:
    code, said = run("check", own(RIGHT, WRONG), "--json")
    report = json.loads(said)
    assert code == 1 and report["sound"] is False
    assert report["passed"] == 1
    assert [one["id"] for one in report["failures"]] == ["p1"]


def test_a_suite_without_solutions_is_checked_without_a_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WorkbenchError("There is no sandbox here.")

    monkeypatch.setattr("workbench.sandbox.Grader", refuse, raising=False)
    row = {
        "id": 1,
        "task": "summarize",
        "code": "x = 1",
        "language": "python",
        "reference": "Sets.",
    }
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    code, said = run("check", str(path))
    assert code == 0 and "there was no solution to run" in said
