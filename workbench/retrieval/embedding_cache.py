"""Vectors that were computed once: one SQLite file for each embedder's fingerprint."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.durable import point
from workbench.progress import bar
from workbench.retrieval.text import encodable
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.types import Embedder, Vectors

# Texts that are encoded, and written, together: all that a crash can lose, unless the embedder
# is so quick that writing would take longer than encoding; then twice as many, again and again.
_BATCH = 128
_QUICK_SECONDS = 0.5
_MOST_BATCHES = 64
# SQLite before 3.32 takes at most 999 variables in a statement.
_READ = 900

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embedder (fingerprint TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS vectors (sha256 BLOB PRIMARY KEY, vector BLOB NOT NULL);
"""


class EmbeddingCache:
    """Document vectors by the sha256 of their text. Several processes may use one file.

    Queries are not kept: they are few, and an embedder may treat them differently. A damaged
    file is set aside as ``*.damaged``; all in it can be computed again.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        name = hashlib.sha256(embedder.fingerprint.encode()).hexdigest()[:24]
        self.path = settings().embeddings / f"{name}.sqlite"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not is_sound(self.path):
            self.path.replace(self.path.with_suffix(".damaged"))
        with self._database() as database:
            database.executescript(_SCHEMA)
            database.execute("INSERT OR IGNORE INTO embedder VALUES (?)", (embedder.fingerprint,))

    def fill(self, texts: Sequence[str]) -> int:
        """Encode the texts that are not here yet, and return how many that were.

        Each batch is of like length, so that little is padding, and is written before the next
        is encoded. The longest come first, as they need the most memory; the others in no order,
        so that the bar's estimate is that of the whole from the start.
        """
        missing = self._missing(texts)
        waiting = deque(_shuffled(missing))
        at_once, rounds = 1, 0
        with bar(total=len(missing), desc="Embed", unit="chunk", smoothing=0) as progress:
            while waiting:
                batch = [
                    text for _ in range(min(at_once, len(waiting))) for text in waiting.popleft()
                ]
                started = time.perf_counter()
                self._write(batch, self._embedder.encode(batch, "document"))
                point("embed.batch")
                progress.update(len(batch))
                rounds += 1
                if rounds > 1 and time.perf_counter() - started < _QUICK_SECONDS:
                    at_once = min(2 * at_once, _MOST_BATCHES)
        return len(missing)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return float32[len(texts), dim] of texts that ``fill`` was called with.

        Raises:
            KeyError: a text is not here.
        """
        keys = [_key(text) for text in texts]
        found = self._read("sha256, vector", keys)
        rows = {key: np.frombuffer(vector, dtype="<f4") for key, vector in found}
        return np.stack([rows[key] for key in keys])

    def _write(self, texts: Sequence[str], vectors: Vectors) -> None:
        vectors = vectors.astype("<f4", copy=False)
        rows = [(_key(text), row.tobytes()) for text, row in zip(texts, vectors, strict=True)]
        with self._database() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def _missing(self, texts: Sequence[str]) -> list[str]:
        by_key = {_key(text): text for text in texts}
        for (key,) in self._read("sha256", list(by_key)):
            del by_key[key]
        return sorted(by_key.values(), key=len, reverse=True)

    def _read(self, columns: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
        with self._database() as database:
            for start in range(0, len(keys), _READ):
                part = keys[start : start + _READ]
                marks = ",".join("?" * len(part))
                yield from database.execute(
                    f"SELECT {columns} FROM vectors WHERE sha256 IN ({marks})", part
                )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; another process's write is waited for."""
        database = sqlite3.connect(self.path, timeout=60)
        try:
            with database:
                yield database
        finally:
            database.close()


def _shuffled(longest_first: Sequence[str]) -> list[Sequence[str]]:
    """Cut into batches; keep the longest first and the one that is not full last."""
    batches = [longest_first[i : i + _BATCH] for i in range(0, len(longest_first), _BATCH)]
    between = batches[1:-1]
    random.Random(len(longest_first)).shuffle(between)
    return [*batches[:1], *between, *batches[1:][-1:]]


def is_sound(path: Path) -> bool:
    """Say whether an SQLite file is whole.

    It is opened for writing, so that SQLite can first undo what a killed process half wrote.
    """
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=60)
        try:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise  # somebody writes for longer than a minute: that says nothing about the file
        return False
    return bool(verdict == "ok")


def _key(text: str) -> bytes:
    return hashlib.sha256(encodable(text).encode("utf-8")).digest()
