"""Every reference of HumanEval, MBPP and LeetCode passes, also where the cores are busy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from workbench.sandbox import Grader
from workbench.settings import settings
from workbench.suites import Suite, load_problems

DATA = settings().data
HOME = settings().home
SUITE_NAMES = ("humaneval", "mbpp", "leetcode")
TOO_SLOW = {
    "leetcode/maximum-number-of-moves-to-kill-all-pawns": "14 s",
    "leetcode/find-the-number-of-subsequences-with-equal-gcd": "27 s",
}
"""References that need more CPU time than the limit allows, with how long they take."""


@pytest.fixture
def suite(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Load a suite with the data of the machine, or skip with what is missing."""
    if DATA is not None:
        monkeypatch.setenv("WORKBENCH_DATA", str(DATA))
    monkeypatch.setenv("WORKBENCH_HOME", str(HOME))
    if request.param != "humaneval" and (DATA is None or not Path(DATA).is_dir()):
        pytest.skip("WORKBENCH_DATA is not set")
    return load_problems(request.param)


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Burn cores meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def failures(suite: Suite, workers: int) -> dict[str, str]:
    with Grader(workers) as grader, ThreadPoolExecutor(workers) as pool:
        outcomes = pool.map(
            lambda one: grader.grade(one.reference.texts[0], one.reference.tests, "python"),
            suite.examples,
        )
        return {
            example.question.id: f"{outcome.verdict}: {outcome.detail}"
            for example, outcome in zip(suite.examples, outcomes, strict=True)
            if not outcome.passed and example.question.id not in TOO_SLOW
        }


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("suite", SUITE_NAMES, indirect=True)
def test_every_reference_passes(suite: Suite) -> None:
    assert len(suite.examples) >= 164
    assert not failures(suite, 2)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("suite", SUITE_NAMES[:2], indirect=True)
def test_every_reference_passes_on_busy_cores(suite: Suite) -> None:
    with busy_loops(2):
        assert not failures(suite, 8)
