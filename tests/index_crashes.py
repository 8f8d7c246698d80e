"""Killing a process that builds an index, and damaging what it wrote.

Run as a program, it builds (``build VERSION``) or opens and searches (``search``) the index of
the fake corpus in the WORKBENCH_HOME of its environment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from fake_embedder import FakeEmbedder, document, index_documents, register, some_documents

from workbench.retrieval import Index, open_index
from workbench.types import Document

POINTS = ("embed.batch", "index.chunks", "index.bm25", "index.vectors", "index.verified")
POINTS += ("index.swap",)
QUERIES = ("merge list", "socket heap json", "unheard")


def corpus(version: int) -> list[Document]:
    """Return the documents: version 2 has a few that differ from version 1."""
    documents = some_documents(200)
    for number in range(5 * (version - 1)):
        documents[number * 7] = document(
            number * 7, f"def changed{number}():\n    unheard {number}"
        )
    return documents


def contents(index: Index) -> tuple[object, ...]:
    """Return ids, vectors and all hits of some searches."""
    found = [
        [(hit.chunk, round(hit.score, 5)) for hit in index.search(query, 10, mode)]
        for query in QUERIES
        for mode in ("bm25", "dense")
    ]
    return index.ids(), index.vectors().tobytes(), found


def start(home: Path, *arguments: str, crash_at: str = "") -> subprocess.Popen[str]:
    """Run this file with a home of its own."""
    environment = {**os.environ, "WORKBENCH_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    if crash_at:
        environment["WORKBENCH_CRASH_AT"] = crash_at
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_at(home: Path, where: str, version: int) -> None:
    """Build, and be killed at a named point."""
    process = start(home, "build", str(version), crash_at=where)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, f"{where} was not passed: {errors}"


def killed_after(home: Path, seconds: float, version: int) -> bool:
    """Build, and be killed some seconds after the work began; say whether that was in time."""
    process = start(home, "build", str(version))
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=120)
    return process.returncode == -signal.SIGKILL


def damage(folder: Path, dice: random.Random) -> str:
    """Truncate, flip, zero, lengthen or remove a file of a build, or ``current``; return which."""
    build = folder / open_build(folder)
    files = [path for path in sorted(build.rglob("*")) if path.is_file()]
    path = dice.choice([*files, folder / "current"])
    data = bytearray(path.read_bytes())
    how = dice.choice(["truncate", "flip", "zero", "lengthen", "remove"])
    place = dice.randrange(len(data))
    if how == "truncate":
        del data[place:]
    elif how == "flip":
        data[place] ^= 1 << dice.randrange(8)
    elif how == "zero":
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
        data[place] ^= 0xFF  # where all was zero before
    elif how == "lengthen":
        data += bytes(100)
    if how == "remove":
        path.unlink()
    else:
        path.write_bytes(data)
    return f"{how} {path.relative_to(folder)} at {place}"


def open_build(folder: Path) -> str:
    """Return the name of the build that holds."""
    from workbench.retrieval.layout import Place

    meta = Place(folder).current()
    assert meta is not None
    return meta.build


def place_of(home: Path) -> Path:
    (folder,) = (home / "indexes").glob("tiny/*/")
    return folder


def main() -> None:
    """Do as the arguments say."""
    embedder = register(FakeEmbedder())
    if sys.argv[1] == "build":
        print("begin", flush=True)
        print(len(index_documents(corpus(int(sys.argv[2])), f"d{sys.argv[2]}")))
    else:
        documents = corpus(1)
        from fake_embedder import BlankLines

        from workbench.retrieval import Cutting

        index = open_index("tiny", chunks=Cutting(lambda: documents, BlankLines()))
        hits = index.search("merge list", 5, "dense") + index.search("merge list", 5, "bm25")
        print(*(hit.chunk.id for hit in hits), len(embedder.encoded))


if __name__ == "__main__":
    main()
