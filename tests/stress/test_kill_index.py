"""A builder killed at every point and at 20 random moments; 40 ways of damaging its files."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_embedder import FakeEmbedder, index_documents, registered
from index_crashes import (
    POINTS,
    contents,
    corpus,
    damage,
    killed_after,
    killed_at,
    place_of,
    start,
)

from workbench.retrieval import open_index

MOMENTS = 20
SEEDS, DAMAGES = range(8), 5


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake``."""
    return registered(monkeypatch)


@pytest.fixture
def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[object, ...]]:
    """Return what is in each version of the index when nothing happens to it."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("WORKBENCH_HOME", str(tmp_path / "undisturbed"))
        return {
            version: contents(index_documents(corpus(version), f"d{version}")) for version in (1, 2)
        }


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("where", POINTS)
def test_killed_at_every_point(
    home: Path, undisturbed: dict[int, object], where: str, version: int
) -> None:
    if version == 2:
        index_documents(corpus(1))
    killed_at(home, where, version)
    if version == 2 and where != "index.swap":
        assert contents(open_index("tiny")) == undisturbed[1]
    assert contents(index_documents(corpus(version), f"d{version}")) == undisturbed[version]


def test_killed_at_random_moments(home: Path, undisturbed: dict[int, object]) -> None:
    dice, in_time = random.Random(23), 0
    for moment in range(MOMENTS):
        version = moment % 2 + 1
        if version == 1:
            shutil.rmtree(home / "indexes", ignore_errors=True)
            shutil.rmtree(home / "embeddings", ignore_errors=True)
        in_time += killed_after(home, dice.uniform(0, 2.5), version)
        assert contents(index_documents(corpus(version), f"d{version}")) == undisturbed[version]
    assert in_time >= MOMENTS // 2, "most were killed after they had ended"


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_at_random(home: Path, undisturbed: dict[int, object], seed: int) -> None:
    index_documents(corpus(1))
    process = start(home, "search")
    expected, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    dice = random.Random(seed)
    for _ in range(DAMAGES):
        done = [damage(place_of(home), dice) for _ in range(dice.choice([1, 1, 2]))]
        process = start(home, "search")
        found, errors = process.communicate(timeout=120)
        assert (process.returncode, found) == (0, expected), f"{done}: {errors}"
    assert contents(open_index("tiny")) == undisturbed[1]
