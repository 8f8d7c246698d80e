"""Files that are whole or not there, and named points at which the tests kill the program."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Every place between two writes that must not tear. A test kills the program at each of them and
# finds that the next call goes on; a point that is not listed here cannot be used.
POINTS = (
    "crawl.source",  # one source of several is finished
    "crawl.documents",  # the documents are written, nothing points to them
    "crawl.swap",  # corpus.json points to the new documents, the old ones still lie there
    "embed.batch",  # a batch of vectors is in the cache
    "index.chunks",
    "index.bm25",
    "index.vectors",
    "index.verified",  # the build was found whole, but is not the current one
    "index.swap",  # it is, and the build before still lies there
    "evaluate.started",  # the run is in the store, and nothing was asked
    "evaluate.described",  # a run that goes on knows what it is to do beyond before
    "evaluate.answer",  # an answer is in the store, and not scored
    "evaluate.score",  # so are its scores
    "evaluate.finished",  # everything is in the store, and nobody was told
)

_CRASH_AT = "WORKBENCH_CRASH_AT"
_passed: dict[str, int] = {}


def point(name: str) -> None:
    """Pass a named point; die here where the environment says so.

    ``WORKBENCH_CRASH_AT=embed.batch:3`` kills the process, as ``kill -9`` would, when it passes
    ``embed.batch`` for the third time. Only tests set it.
    """
    if name not in POINTS:
        raise ValueError(f"{name} is no point; list it in workbench.durable.POINTS")
    wanted = os.environ.get(_CRASH_AT)
    if wanted is None:
        return
    where, _, times = wanted.partition(":")
    _passed[name] = _passed.get(name, 0) + 1
    if where == name and _passed[name] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def write_durably(path: Path, data: str | bytes) -> None:
    """Write a file whose bytes are on disk before anything points to them."""
    with path.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: str | bytes) -> None:
    """Replace a file in one step: whoever reads it finds the old or the new one, whole."""
    part = path.with_name(path.name + ".part")
    write_durably(part, data)
    part.replace(path)
