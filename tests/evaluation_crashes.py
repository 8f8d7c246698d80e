"""Killing a process that evaluates, over and over, and what must hold each time it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.durable import POINTS as ALL_POINTS
from workbench.store import Key, Store
from workbench.types import Score

POINTS = tuple(one for one in ALL_POINTS if one.startswith("evaluate."))
LINES = 48
"""What an undisturbed run notes: that each of the 24 calls began, and that it ended."""
_PROGRAM = Path(__file__).with_name("fake_evaluation.py")


@dataclass(frozen=True)
class Told:
    """What a run came to: figures as printed, answers, scores, and the keys that were answered."""

    figures: tuple[str, ...]
    answers: dict[Key, str]
    scores: dict[Key, dict[str, Score]]
    finished_calls: tuple[Key, ...]


def calls_of(folder: Path, what: str) -> list[Key]:
    """Return the calls that began, or that came to their end, in their order."""
    lines = (folder / "calls").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line.startswith(what)]
    return [(word[1], word[2], int(word[3])) for word in words]


def start(folder: Path, crash_at: str = "") -> subprocess.Popen[str]:
    """Evaluate in a process of its own, in a home of its own."""
    environment = {**os.environ, "WORKBENCH_HOME": str(folder / "home"), "PYTHONWARNINGS": "ignore"}
    environment.pop("WORKBENCH_CRASH_AT", None)
    if crash_at:
        environment["WORKBENCH_CRASH_AT"] = crash_at
    return subprocess.Popen(
        [sys.executable, str(_PROGRAM), str(folder / "calls")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def evaluate_undisturbed(folder: Path) -> Told:
    """Evaluate from beginning to end and return what it came to."""
    return finished(folder, start(folder))


def evaluate_killed(folder: Path, at: Sequence[str] = (), after: Sequence[float] = ()) -> Told:
    """Evaluate, be killed at each point and after each share of the calls, then go on to the end.

    Shares rather than seconds, so that a kill hits the work however busy the machine is.

    After each kill what is stored must hold, and must never be asked for again.
    """
    (folder / "calls").touch()
    for where in at:
        if where == "evaluate.described":  # only passed by a run that goes on, with more to do
            begun_with_less(folder)
        process = start(folder, where)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, f"{where} was not passed: {errors}"
        check(folder)
    for share in after:
        process = start(folder)
        assert process.stdout is not None and process.stdout.readline() == "begin\n"
        while process.poll() is None and len(calls_of(folder, "")) < share * LINES:
            time.sleep(0.001)
        process.kill()
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, "it was over before it was killed"
        check(folder)
    return finished(folder, start(folder))


def begun_with_less(folder: Path) -> None:
    """Make a run of which less was asked: one solver, one sample, one metric."""
    code = "import fake_evaluation as f; f.main(less=True)"
    environment = {**os.environ, "WORKBENCH_HOME": str(folder / "home")}
    subprocess.run(
        [sys.executable, "-c", code, str(folder / "calls")],
        env={**environment, "PYTHONPATH": str(_PROGRAM.parent)},
        check=True,
        capture_output=True,
        timeout=120,
    )


def check(folder: Path) -> None:
    """Hold the laws of a run that was killed: what is stored is whole, and asked for once."""
    answers, scores = stored(folder)
    assert set(scores) <= set(answers), "no score without its answer"
    ended = Counter(calls_of(folder, "end"))
    assert set(answers) <= set(ended), "nothing is stored that was not answered"
    marks = folder / "stored"
    before = eval(marks.read_text()) if marks.exists() else {}
    for key, times in before.items():
        assert key in answers, f"{key} is lost"
        assert Counter(calls_of(folder, "begin"))[key] == times, f"{key} was asked again"
    marks.write_text(repr({key: Counter(calls_of(folder, "begin"))[key] for key in answers}))


def stored(folder: Path) -> tuple[dict[Key, str], dict[Key, dict[str, Score]]]:
    """Return the answers and scores in the store."""
    store = Store(folder / "home" / "runs.sqlite")
    rows = store.runs()
    assert len(rows) <= 1, "it went on with the run that was begun"
    if not rows:
        return {}, {}
    answers = {
        (result.solver, result.question_id, result.sample): result.answer.text
        for _, result in store.results(rows[0].id)
        if result.answer is not None
    }
    return answers, store.scores(rows[0].id)


def finished(folder: Path, process: subprocess.Popen[str]) -> Told:
    """Wait for the end and return what it came to."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    check(folder)
    figures = output.splitlines()[-1].split()[1:]
    answers, scores = stored(folder)
    return Told(tuple(figures), answers, scores, tuple(sorted(answers)))
