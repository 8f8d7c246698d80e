"""Wrong programs that try to pass are never graded as right, in any tier that works here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_completions import HOSTILE, RIGHT, TESTS, Hostile

from workbench.sandbox import Grader, Limits, Outcome
from workbench.sandbox.tiers import TIERS, probe

WORKING = [state.name for state in probe() if state.works]
LIMITS = Limits(
    cpu_seconds=0.25,
    wall_seconds=2.5,
    memory=256 << 20,
    output=1 << 20,
    files=1 << 20,
    processes=16,
)


@pytest.fixture(scope="module", params=TIERS)
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Outcome]]:
    """Grade the whole set once in a tier; what is left of it afterwards is another test's."""
    if request.param not in WORKING:
        pytest.skip(f"{request.param} does not work here")
    with Grader(8, LIMITS, request.param) as grader, ThreadPoolExecutor(8) as pool:
        graded = pool.map(lambda one: grader.grade(one.code, TESTS, "python"), HOSTILE)
        found = {one.name: outcome for one, outcome in zip(HOSTILE, graded, strict=True)}
        found["right at the end"] = grader.grade(RIGHT, TESTS, "python")
    yield found


def test_there_are_sixty_of_them() -> None:
    assert len(HOSTILE) == len({one.name for one in HOSTILE}) >= 60


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: one.name)
def test_hostile_program_never_passes(hostile: Hostile, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[hostile.name]
    assert outcome.passed is False, outcome
    assert outcome.verdict in hostile.verdicts, outcome
    assert len(outcome.detail) <= 400 and "\n" not in outcome.detail


def test_right_program_passes_after_them(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["right at the end"].verdict == "passed"
