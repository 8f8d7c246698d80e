"""An evaluation killed at every write point, early and late, and at twenty random moments."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from evaluation_crashes import POINTS, Told, evaluate_killed, evaluate_undisturbed

KILLS = 20
# Passed once for each of the 24 answers; one in a hurry may score the last two together.
MANY = ("evaluate.answer", "evaluate.score")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return evaluate_undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("where", POINTS)
def test_a_run_killed_at_a_write_point_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told, where: str
) -> None:
    assert evaluate_killed(tmp_path, at=[where]) == undisturbed


@pytest.mark.parametrize("times", [2, 7, 12, 23])
@pytest.mark.parametrize("where", MANY)
def test_a_run_killed_late_at_a_write_point_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told, where: str, times: int
) -> None:
    assert evaluate_killed(tmp_path, at=[f"{where}:{times}"]) == undisturbed


def test_a_run_killed_after_every_few_steps_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told
) -> None:
    steps = ["evaluate.answer:3", "evaluate.score:2", "evaluate.answer:4", "evaluate.score:5"]
    assert evaluate_killed(tmp_path, at=steps) == undisturbed


@pytest.mark.parametrize("seed", range(KILLS // 2))
def test_a_run_killed_at_random_moments_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Told, seed: int
) -> None:
    dice = random.Random(seed)
    moments = sorted(dice.uniform(0, 0.9) for _ in range(2))
    assert evaluate_killed(tmp_path, after=moments) == undisturbed
