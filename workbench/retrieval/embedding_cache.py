"""Vectors that were computed once: one SQLite file for each embedder's fingerprint."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.progress import bar
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.types import Embedder, Vectors

# Texts that are encoded, and written, together: all that a crash can lose.
_BATCH = 128
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

        The longest come first and each batch is of like length, so that little is padding.
        Each batch is written before the next is encoded.
        """
        missing = self._missing(texts)
        with bar(total=len(missing), desc="Embed", unit="chunk") as progress:
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                vectors = self._embedder.encode(batch, "document").astype("<f4", copy=False)
                rows = [
                    (_key(text), vector.tobytes())
                    for text, vector in zip(batch, vectors, strict=True)
                ]
                with self._database() as database:
                    database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                progress.update(len(batch))
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
    return hashlib.sha256(text.encode("utf-8")).digest()
