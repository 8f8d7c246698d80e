"""The chunks of one index, in the order in which they were indexed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BadInput, UnknownName
from workbench.retrieval.text import encodable
from workbench.retrieval.where import NO_LANGUAGE, NO_LICENSE, Where, choices, lower
from workbench.types import Chunk, Chunker, Document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_COLUMNS = [field.name for field in fields(Chunk)]
_NAMES = ", ".join(_COLUMNS)
_values = attrgetter(*_COLUMNS)
# SQLite before 3.32 takes at most 999 variables in a statement.
_READ = 900
# Filters whose masks are kept, a byte a chunk each.
_MASKS = 16


Source = Callable[[], Iterable[Chunk]]
"""Where chunks come from: a function that yields them, or a ``Cutting``."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """Documents and the chunker that cuts them, so that an unchanged document is cut only once.

    Calling it cuts all, which makes it a source of chunks like any other callable.
    """

    documents: Callable[[], Iterable[Document]]
    chunker: Chunker

    def __call__(self) -> Iterator[Chunk]:
        """Yield the chunks of all documents, in their order."""
        for document in self.documents():
            yield from self.chunker.chunk(document)


@dataclass(frozen=True, slots=True)
class Piece:
    """The chunks of one document, and what identifies it; None where nobody knows."""

    key: bytes | None
    chunks: Sequence[Chunk]


def pieces(source: Source, known: KnownChunks | None) -> Iterator[Piece]:
    """Yield chunks document by document; those that ``known`` has are not cut again."""
    if isinstance(source, Cutting):
        for document in source.documents():
            key = _key(document)
            found = known.of(key) if known else None
            yield Piece(key, source.chunker.chunk(document) if found is None else found)
    elif isinstance(source, KnownChunks):
        yield from source.pieces()
    else:
        for chunk in source():
            yield Piece(None, (chunk,))


def write_chunks(path: Path, documents: Iterable[Piece]) -> int:
    """Write chunks into a new SQLite file and return how many there were.

    Raises:
        BadInput: two chunks share an id.
    """
    marks = ", ".join("?" * len(_COLUMNS))
    kept: list[tuple[bytes, int, int]] = []
    count = 0

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal count
        for piece in documents:
            if piece.key is not None:
                kept.append((piece.key, count, len(piece.chunks)))
            for chunk in piece.chunks:
                yield (count, *map(_storable, _values(chunk)))
                count += 1

    with closing(sqlite3.connect(path)) as database:
        database.execute(
            f"CREATE TABLE chunks (position INTEGER PRIMARY KEY, {_NAMES}, UNIQUE (id))"
        )
        database.execute("CREATE TABLE documents (key BLOB, first INTEGER, count INTEGER)")
        try:
            database.executemany(f"INSERT INTO chunks VALUES (?, {marks})", rows())
        except sqlite3.IntegrityError as error:
            raise BadInput(
                f"Two chunks share an id ({error}).", "A chunker must give each its own."
            ) from error
        database.executemany("INSERT INTO documents VALUES (?, ?, ?)", kept)
        database.commit()
    return count


class ChunkStore:
    """Reads single chunks, so that a large corpus need not fit into memory. Thread-safe."""

    def __init__(self, path: Path) -> None:
        # Nothing writes to the file again; without immutable, SQLite would look for a journal.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = threading.Lock()
        self._masks: dict[Where, Mask] = {}

    def __len__(self) -> int:
        return int(self.select("SELECT count(*) FROM chunks")[0][0])

    def __iter__(self) -> Iterator[Chunk]:
        step, start = 1000, 0
        while chunks := self.between(start, start + step):
            yield from chunks
            start += step

    def ids(self) -> list[str]:
        """Return all ids, in the order of the chunks."""
        return [id_ for (id_,) in self.select("SELECT id FROM chunks ORDER BY position")]

    def between(self, start: int, end: int) -> list[Chunk]:
        """Return the chunks from one position to before another."""
        rows = self.select(
            f"SELECT {_NAMES} FROM chunks WHERE position >= ? AND position < ? ORDER BY position",
            [start, end],
        )
        return [Chunk(*row) for row in rows]

    def at(self, positions: Sequence[int]) -> list[Chunk]:
        """Return the chunks at these positions, in their order."""
        return self._ordered("position", positions)

    def called(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks with these ids, in their order.

        Raises:
            KeyError: no chunk has one of them.
        """
        return self._ordered("id", ids)

    def position(self, id_: str) -> int:
        """Return the place of a chunk, counted from 0.

        Raises:
            KeyError: no chunk has that id.
        """
        rows = self.select("SELECT position FROM chunks WHERE id = ?", [id_])
        if not rows:
            raise KeyError(id_)
        return int(rows[0][0])

    def allowed(self, where: Where) -> Mask:
        """Return bool[chunks], True where a chunk passes the filter.

        Raises:
            UnknownName: no chunk has a language or licence that the filter names.
        """
        mask = self._masks.get(where)
        if mask is None:
            rows = self.select("SELECT language, license, path FROM chunks ORDER BY position")
            kinds = dict.fromkeys(rows)
            _check(where, kinds)
            passing = {kind: where.allows(*kind) for kind in kinds}
            mask = np.fromiter((passing[row] for row in rows), bool, len(rows))
            while len(self._masks) >= _MASKS:
                self._masks.pop(next(iter(self._masks)), None)
            self._masks[where] = mask
        return mask

    def select(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _ordered(self, column: str, values: Sequence[int] | Sequence[str]) -> list[Chunk]:
        found: dict[object, Chunk] = {}
        for start in range(0, len(values), _READ):
            part = values[start : start + _READ]
            marks = ",".join("?" * len(part))
            for key, *row in self.select(
                f"SELECT {column}, {_NAMES} FROM chunks WHERE {column} IN ({marks})", part
            ):
                found[key] = Chunk(*row)
        return [found[value] for value in values]


class KnownChunks:
    """The chunks of an earlier build, by the document that they were cut from."""

    def __init__(self, path: Path) -> None:
        self._store = ChunkStore(path)
        rows = self._store.select("SELECT key, first, count FROM documents")
        self._places = {key: (first, count) for key, first, count in rows}

    def __call__(self) -> Iterator[Chunk]:
        """Yield all chunks, in their order."""
        return iter(self._store)

    def pieces(self) -> Iterator[Piece]:
        """Yield all chunks by the documents that they were cut from, as far as that is known."""
        if self._places:
            for key, (first, count) in self._places.items():
                yield Piece(key, self._store.between(first, first + count))
        else:
            for chunk in self._store:
                yield Piece(None, (chunk,))

    def of(self, key: bytes) -> list[Chunk] | None:
        """Return a document's chunks, None where it was not in that build."""
        place = self._places.get(key)
        return None if place is None else self._store.between(place[0], sum(place))


def _check(where: Where, kinds: Iterable[tuple[str | None, str | None, str]]) -> None:
    languages = {language or NO_LANGUAGE for language, _, _ in kinds}
    licenses = {license or NO_LICENSE for _, license, _ in kinds}
    parts = {part for license in licenses for part in choices(license)}
    for name in where.languages:
        if name.lower() not in lower(languages):
            raise UnknownName("language of this index", name, languages)
    for name in where.licenses:
        if name.lower() not in parts:
            raise UnknownName("licence in this index", name, licenses)


def _key(document: Document) -> bytes:
    """Identify all of a document that a chunker may look at."""
    return hashlib.sha256(json.dumps(astuple(document)).encode()).digest()


def _storable(value: object) -> object:
    return encodable(value) if isinstance(value, str) else value
