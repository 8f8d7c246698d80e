"""Nothing is lost: a builder killed anywhere, files damaged anyhow, builders that meet.

``tests/stress/test_kill_index.py`` does the same at more moments and in more ways.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
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

from workbench.retrieval import building, list_indexes, open_index
from workbench.settings import settings


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` and return it."""
    return registered(monkeypatch)


@pytest.fixture
def built(fake: FakeEmbedder, home: Path) -> tuple[object, ...]:
    """Build version 1 undisturbed and return what is in it."""
    return contents(index_documents(corpus(1)))


@pytest.mark.parametrize("where", POINTS)
def test_a_build_killed_at_a_point_goes_on(
    fake: FakeEmbedder, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    killed_at(home, where, 1)
    index = index_documents(corpus(1))
    assert len(list(index.folder.parent.glob("build-*"))) <= 2
    if where not in ("embed.batch", "index.chunks"):  # not all was embedded when it died
        assert fake.encoded == []
    found = contents(index)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "undisturbed"))
    assert found == contents(index_documents(corpus(1)))


@pytest.mark.parametrize("where", ["index.vectors", "index.verified", "index.swap"])
def test_a_change_killed_at_a_point_goes_on(
    fake: FakeEmbedder, home: Path, built: object, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    killed_at(home, where, 2)
    if where != "index.swap":
        assert contents(open_index("tiny")) == built
    found = contents(index_documents(corpus(2), "d2"))
    monkeypatch.setenv("WORKBENCH_HOME", str(home / "undisturbed"))
    assert found == contents(index_documents(corpus(2), "d2"))


def test_a_build_killed_at_any_moment_goes_on(
    fake: FakeEmbedder, home: Path, built: object
) -> None:
    dice = random.Random(5)
    for _ in range(2):
        shutil.rmtree(home / "indexes")
        killed_after(home, dice.uniform(0, 2), 1)
        assert contents(index_documents(corpus(1))) == built


def test_what_a_killed_process_copied_is_removed(fake: FakeEmbedder, home: Path) -> None:
    code = (
        "import os, signal, sys; sys.argv = ['x', 'search']\n"
        "import index_crashes; index_crashes.main()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    index_documents(corpus(1))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    scratch = settings().indexes / ".scratch"
    mine = [path for path in scratch.iterdir() if path.name.startswith(f"{os.getpid()}-")]
    assert len([path for path in scratch.iterdir() if path.is_dir()]) == len(mine) + 1
    process = start(home, "search")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert [path for path in scratch.iterdir() if path.is_dir()] == mine


def test_damage_of_any_kind_is_mended(fake: FakeEmbedder, home: Path, built: object) -> None:
    dice = random.Random(17)
    for _ in range(12):
        what = damage(place_of(home), dice)
        building._opened.clear()  # as a new process begins
        fake.encoded.clear()
        index = open_index("tiny", chunks=lambda: list_of_chunks())
        assert contents(index) == built, what
        assert fake.encoded == [], what
        assert len(list_indexes()) == 1


def list_of_chunks() -> list[object]:
    from fake_embedder import BlankLines

    return [chunk for each in corpus(1) for chunk in BlankLines().chunk(each)]


def test_a_process_that_searches_a_damaged_index_ends_well(
    fake: FakeEmbedder, home: Path, built: object
) -> None:
    process = start(home, "search")
    expected, _ = process.communicate(timeout=60)
    for seed in range(2):
        what = damage(place_of(home) / ".", random.Random(seed))
        process = start(home, "search")
        found, errors = process.communicate(timeout=60)
        assert (process.returncode, found) == (0, expected), f"{what}: {errors}"
