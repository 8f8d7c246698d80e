"""Kill -9 a crawl of a folder, a data set and a clone, wherever it is: the next call finishes it.

The child runs the whole of it, with the real filters. The fast variant, with folders only, is in
``tests/test_crawling.py``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench import durable
from workbench.corpus import crawl, open_corpus

FILES = 120
MOMENTS = 20
POINTS = [f"{point}:1" for point in durable.POINTS if point.startswith("crawl.")]
# Each source passes the first point once, so it can die after one, two or all of them.
CASES = [*POINTS, "crawl.source:2", "crawl.source:3"]

CHILD = """
import sys
from workbench.corpus import crawl
print("there", flush=True)
crawl("mine", sys.argv[1:])
"""


def code(kind: str, number: int) -> str:
    body = "".join(
        f"def {kind}_{number}_{n}(first, second):\n"
        f'    """Add {number} and {n} to what {kind} gives."""\n'
        f"    return first * {number} + second * {n} - len('{kind}{n * number}')\n\n\n"
        for n in range(5)
    )
    return f"import math\n\n{body}"


@dataclass(frozen=True)
class Site:
    """The sources, the digest of a crawl that nobody disturbed, and how long one takes."""

    sources: list[str]
    digest: str
    seconds: float


def run_git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def site(tmp_path: Path, home: Path) -> Site:
    folder, clone, rows = tmp_path / "folder", tmp_path / "clone", tmp_path / "rows.jsonl"
    for root in (folder, clone):
        root.mkdir()
        for number in range(FILES):
            (root / f"{number}.py").write_text(code(root.name, number))
    lines = (json.dumps({"code": code("row", n), "language": "python"}) for n in range(FILES))
    rows.write_text("\n".join(lines))
    run_git(clone, "init", "-q")
    run_git(clone, "add", ".")
    run_git(clone, "commit", "-qm", "x")
    sha = run_git(clone, "rev-parse", "HEAD")
    sources = [f"folder:{folder}", f"hf:{rows}#code", f"git:{clone}@{sha}"]
    start = time.monotonic()
    assert subprocess.run([sys.executable, "-c", CHILD, *sources], check=False).returncode == 0
    seconds = time.monotonic() - start
    whole = open_corpus("mine")
    assert {source for source, _ in whole.sources} == {d.source for d in whole.documents()}
    return Site(sources, whole.digest, seconds)


def start_over(site: Site) -> str:
    """Put an older corpus in its place, and return that one's digest."""
    return crawl("mine", site.sources[:1]).digest


def disturb(site: Site, old: str, *, point: str = "", after: float = 0.0) -> None:
    """Kill a crawl, look at what is there, and let the next call go on."""
    environment = {**os.environ, **({"WORKBENCH_CRASH_AT": point} if point else {})}
    command = [sys.executable, "-c", CHILD, *site.sources]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        if point:
            assert child.wait(timeout=120) == -signal.SIGKILL
        else:
            time.sleep(after)
            child.kill()
    there = open_corpus("mine")
    assert there.digest in (old, site.digest)
    assert len(list(there.documents())) == len(there)
    done = crawl("mine", site.sources)
    assert done.digest == site.digest
    assert sum(1 for _ in done.documents()) == len(done)
    left = {path.name for path in done.folder.iterdir()} - {"writer.lock"}
    assert left == {"corpus.json", f"documents-{site.digest[:16]}.jsonl"}


@pytest.mark.parametrize("point", CASES)
def test_a_crawl_killed_at_a_named_point_is_finished_by_the_next_call(
    site: Site, point: str
) -> None:
    disturb(site, start_over(site), point=point)


@pytest.mark.timeout(900)
def test_a_crawl_killed_at_any_moment_is_finished_by_the_next_call(site: Site) -> None:
    chance = random.Random(20)
    for _ in range(MOMENTS):
        disturb(site, start_over(site), after=chance.uniform(0.0, site.seconds))


@pytest.mark.timeout(300)
def test_a_crawl_killed_again_and_again_comes_to_its_end(site: Site) -> None:
    old = start_over(site)
    for seconds in (0.05, 0.2, 0.4, 0.6, 0.8):
        command = [sys.executable, "-c", CHILD, *site.sources]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(seconds)
            child.kill()
        assert open_corpus("mine").digest in (old, site.digest)
    assert crawl("mine", site.sources).digest == site.digest
