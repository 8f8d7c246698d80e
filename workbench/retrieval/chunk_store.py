"""The chunks of one index, in the order in which they were indexed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.retrieval.text import encodable
from workbench.types import Chunk

_COLUMNS = [field.name for field in fields(Chunk)]
_NAMES = ", ".join(_COLUMNS)
# SQLite before 3.32 takes at most 999 variables in a statement.
_READ = 900


def write_chunks(path: Path, chunks: Iterable[Chunk]) -> int:
    """Write chunks into a new SQLite file and return how many there were.

    Raises:
        BadInput: two chunks share an id.
    """
    marks = ", ".join("?" * len(_COLUMNS))
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            f"CREATE TABLE chunks (position INTEGER PRIMARY KEY, {_NAMES}, UNIQUE (id))"
        )
        rows = ((position, *_row(chunk)) for position, chunk in enumerate(chunks))
        try:
            written = database.executemany(f"INSERT INTO chunks VALUES (?, {marks})", rows)
        except sqlite3.IntegrityError as error:
            raise BadInput(
                f"Two chunks share an id ({error}).", "A chunker must give each its own."
            ) from error
        database.commit()
        return max(written.rowcount, 0)


class ChunkStore:
    """Reads single chunks, so that a large corpus need not fit into memory. Thread-safe."""

    def __init__(self, path: Path) -> None:
        # Nothing writes to the file again; without immutable, SQLite would look for a journal.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._select("SELECT count(*) FROM chunks")[0][0])

    def __iter__(self) -> Iterator[Chunk]:
        step, start = 1000, 0
        while chunks := [
            Chunk(*row)
            for row in self._select(
                f"SELECT {_NAMES} FROM chunks WHERE position >= ? AND position < ?"
                " ORDER BY position",
                [start, start + step],
            )
        ]:
            yield from chunks
            start += step

    def at(self, positions: Sequence[int]) -> list[Chunk]:
        """Return the chunks at these positions, in their order."""
        return self._ordered("position", positions)

    def called(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks with these ids, in their order."""
        return self._ordered("id", ids)

    def _ordered(self, column: str, values: Sequence[int] | Sequence[str]) -> list[Chunk]:
        found: dict[object, Chunk] = {}
        for start in range(0, len(values), _READ):
            part = values[start : start + _READ]
            marks = ",".join("?" * len(part))
            for key, *row in self._select(
                f"SELECT {column}, {_NAMES} FROM chunks WHERE {column} IN ({marks})", part
            ):
                found[key] = Chunk(*row)
        return [found[value] for value in values]

    def _select(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _row(chunk: Chunk) -> tuple[object, ...]:
    values = astuple(chunk)
    return tuple(encodable(value) if isinstance(value, str) else value for value in values)
