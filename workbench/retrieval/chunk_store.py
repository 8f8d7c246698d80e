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

    ``total`` is how many documents there are, where that is known. Calling it cuts all, which
    makes it a source of chunks like any other callable.
    """

    documents: Callable[[], Iterable[Document]]
    chunker: Chunker
    total: int | None = None

    def __call__(self) -> Iterator[Chunk]:
        """Yield the chunks of all documents, in their order."""
        for document in self.documents():
            yield from self.chunker.chunk(document)


@dataclass(frozen=True, slots=True)
class Piece:
    """The chunks of one document, and what identifies it; None where nobody knows.

    ``chunks`` are a run of positions where they stand in the build before.
    """

    key: bytes | None
    chunks: Sequence[Chunk] | range


def pieces(source: Source, known: KnownChunks | None) -> Iterator[Piece]:
    """Yield chunks document by document; those that ``known`` has are not cut again."""
    if isinstance(source, Cutting):
        for document in source.documents():
            key = _key(document)
            found = known.place(key) if known else None
            yield Piece(key, source.chunker.chunk(document) if found is None else found)
    elif isinstance(source, KnownChunks):
        yield from source.pieces()
    else:
        for chunk in source():
            yield Piece(None, (chunk,))


def write_chunks(path: Path, documents: Iterable[Piece], before: Path | None = None) -> int:
    """Write chunks into a new SQLite file and return how many there were.

    ``before`` is the file that runs of positions are copied from.

    Raises:
        BadInput: two chunks share an id.
    """
    with closing(sqlite3.connect(path.absolute().as_uri(), uri=True)) as database:
        database.execute(
            f"CREATE TABLE chunks (position INTEGER PRIMARY KEY, {_NAMES}, UNIQUE (id))"
        )
        database.execute("CREATE TABLE documents (key BLOB, first INTEGER, count INTEGER)")
        if before is not None:
            database.execute("ATTACH ? AS before", [_read_only(before)])
        try:
            count = _write_pieces(database, documents)
        except sqlite3.IntegrityError as error:
            raise BadInput(
                f"Two chunks share an id ({error}).", "A chunker must give each its own."
            ) from error
        database.commit()
    return count


def _write_pieces(database: sqlite3.Connection, documents: Iterable[Piece]) -> int:
    insert = f"INSERT INTO chunks VALUES (?, {', '.join('?' * len(_COLUMNS))})"
    copy = (
        f"INSERT INTO chunks SELECT position + ?, {_NAMES} FROM before.chunks"
        " WHERE position >= ? AND position < ?"
    )
    run, count = range(0), 0  # what is still to be copied, and the chunks met so far, it included

    def flush() -> None:
        if run:
            database.execute(copy, [count - len(run) - run.start, run.start, run.stop])

    for piece in documents:
        if piece.key is not None:
            row = (piece.key, count, len(piece.chunks))
            database.execute("INSERT INTO documents VALUES (?, ?, ?)", row)
        if isinstance(piece.chunks, range):
            if piece.chunks.start != run.stop:
                flush()
                run = range(piece.chunks.start, piece.chunks.start)
            run = range(run.start, piece.chunks.stop)  # what stood together is copied together
            count += len(piece.chunks)
        else:
            flush()
            run = range(0)
            for chunk in piece.chunks:
                database.execute(insert, (count, *map(_storable, _values(chunk))))
                count += 1
    flush()
    return count


class ChunkStore:
    """Reads single chunks, so that a large corpus need not fit into memory. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(_read_only(path), uri=True, check_same_thread=False)
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
        self.path = path
        self._store = ChunkStore(path)
        rows = self._store.select("SELECT key, first, count FROM documents")
        self._places = {key: range(first, first + count) for key, first, count in rows}

    def __call__(self) -> Iterator[Chunk]:
        """Yield all chunks, in their order."""
        return iter(self._store)

    def pieces(self) -> Iterator[Piece]:
        """Yield all chunks by the documents that they were cut from, as far as that is known."""
        if self._places:
            for key, place in self._places.items():
                yield Piece(key, self._store.between(place.start, place.stop))
        else:
            for chunk in self._store:
                yield Piece(None, (chunk,))

    def place(self, key: bytes) -> range | None:
        """Return the positions of a document's chunks, None where it was not in that build."""
        return self._places.get(key)


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


def _read_only(path: Path) -> str:
    # Nothing writes to the file again; without immutable, SQLite would look for a journal.
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _storable(value: object) -> object:
    return encodable(value) if isinstance(value, str) else value
