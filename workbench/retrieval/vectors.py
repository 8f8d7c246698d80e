"""Chunks by cosine similarity: a Chroma collection, which is only a view of the embedding cache.

Chroma writes to its database at each opening, does not survive two writers or a kill, and its
native code may end the process on a damaged file. So a finished folder is never opened in place:
whoever wants to read it opens a private copy, made after its files were found as they were
written. Querying loads no embedding function and no pickle: Chroma gets vectors, never texts.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from httpx import HTTPError

from workbench.errors import WorkbenchError
from workbench.progress import bar
from workbench.retrieval.layout import CHROMA
from workbench.retrieval.quiet_chroma import ChromaError, chromadb, plain_settings
from workbench.retrieval.scratch import Damaged, private_copy, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

    from workbench.types import Vectors

_COLLECTION = "chunks"
_OPEN_AGAIN = "Open the index again: what is damaged is mended then."
_AGAIN = "Mend that, and run it again."
# What Chroma writes where a collection has no embedding function.
_NO_FUNCTION = ("legacy", "unknown")
_DATABASE = "chroma.sqlite3"

# With 16 neighbours and ef_search 200, the nearest chunk was missed for 2 to 6 of 1,000 CoSQA
# queries (static, 6,267 chunks), and other ones after each build; with 48 and 800 for none, at
# 0.6 ms a query instead of 0.2.
_NEIGHBOURS, _EF_CONSTRUCTION, _EF_SEARCH = 48, 200, 800
# Every vector is looked for with this first: 0.04 ms a query, and it misses 5 in 1,000.
_EF_QUICK = 10
_QUERIES_AT_ONCE = 500
# Cosines of float32 vectors that differ by less cannot be told apart.
_EQUAL = 1e-6

# Chroma keeps one system for each path in a process, and opening a second while the first is
# being made is not safe.
_opening = threading.Lock()


@dataclass(frozen=True, slots=True)
class Change:
    """How a collection differs from that of the build before.

    ``removed`` are taken out of it, and then the vectors of ``rows`` put in. What is taken out
    stays in the graph as a dead node, so this is for few.
    """

    before: Path
    removed: Sequence[str]
    rows: Sequence[int]


class EmbeddedChroma:
    """Collections in folders of their own, one to a build."""

    def write(
        self, build: Path, ids: Sequence[str], vectors: Vectors, change: Change | None = None
    ) -> None:
        """Write float32[len(ids), dim] in the order of ``ids``, by a change where one is given."""
        folder = build / CHROMA
        with _plainly("written", _AGAIN):
            if change is None:
                with _writing(folder) as client:
                    fill(client, _COLLECTION, ids, vectors)
            else:
                shutil.copytree(change.before / CHROMA, folder)
                new = list(change.rows)
                _apply(folder, change, [ids[row] for row in new], vectors[new])
            _shrink(folder / _DATABASE)

    def verify(self, build: Path, ids: Sequence[str], vectors: Vectors) -> None:
        """Find every id with exactly its vector, and every vector by a query, as it is on disk.

        What a quick search misses is looked for as thoroughly as people's searches are.

        Raises:
            WorkbenchError: something is not found.
        """
        hashes = {
            path.relative_to(build).as_posix(): sha256(path)
            for path in (build / CHROMA).rglob("*")
            if path.is_file()
        }
        rows: Sequence[int] = range(len(ids))
        for ef in (_EF_QUICK, _EF_SEARCH):
            with _plainly("checked", _AGAIN), _copy_of(build, hashes) as client:
                collection = client.get_collection(_COLLECTION, embedding_function=None)
                if ef != _EF_SEARCH:
                    # It is read when the graph is loaded, which the first query does.
                    collection.modify(configuration={"hnsw": {"ef_search": ef}})
                rows = missed(collection, ids, vectors, rows)
            if not rows:
                return
        raise not_found(ids, rows)

    def open(self, build: Path, hashes: Mapping[str, str]) -> ChromaView:
        """Open a private copy of the collection; the build's files have these sha256.

        Raises:
            WorkbenchError: a file is not as it was written; nothing was opened.
        """
        mine = {name: hash_ for name, hash_ in hashes.items() if name.startswith(f"{CHROMA}/")}
        with _plainly("read", _OPEN_AGAIN):
            copy = private_copy(build, mine, written=(f"{CHROMA}/{_DATABASE}",))
            client = _client(copy / CHROMA)
            view = ChromaView(client.get_collection(_COLLECTION, embedding_function=None))
            # The graph lies in memory; an index that nobody holds any more gives it back.
            weakref.finalize(view, _let_go, client, copy).atexit = False
            view.warm_up()
        return view

    def holds(self, build: Path, ids: Sequence[str], vectors: Vectors) -> bool:
        """Say whether the collection is there: its files are looked after with all others."""
        return True

    def clear(self, build: Path) -> None:
        """Undo ``write``."""
        shutil.rmtree(build / CHROMA)

    def remove(self, build: Path) -> None:
        """Remove what lies outside the build's folder: nothing."""


class ChromaView:
    """Ids of chunks by the cosine of their vectors. The graph is searched almost exhaustively."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._count = collection.count()

    def warm_up(self) -> None:
        """Read the graph into memory now, while its files are known to be whole."""
        first = self._collection.get(limit=1, include=["embeddings"])
        assert first["embeddings"] is not None, "embeddings were asked for"
        self.search(np.asarray(first["embeddings"][0], np.float32), 1)

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """Return at most ``k`` (id, cosine), best first, for one float32[dim] of unit length.

        Raises:
            WorkbenchError: Chroma, or its server, cannot answer.
        """
        with _plainly("read", _OPEN_AGAIN):
            found = self._collection.query(
                query_embeddings=vector[None, :],
                n_results=min(k, self._count),
                include=["distances"],
            )
        distances = found["distances"]
        assert distances is not None, "distances were asked for"
        return [
            (id_, 1.0 - distance)
            for id_, distance in zip(found["ids"][0], distances[0], strict=True)
        ]


@contextmanager
def _plainly(done: str, remedy: str) -> Iterator[None]:
    """Turn what Chroma raises, a panic of its native code included, to one clear line."""
    try:
        yield
    except BaseException as error:
        # pyo3 does not export its panics, which are no Exceptions.
        panic = type(error).__name__ == "PanicException"
        if not panic and not isinstance(error, ChromaError | HTTPError | OSError | Damaged):
            raise
        cause = f"The vectors of this index cannot be {done}: {error}."
        raise WorkbenchError(cause, remedy) from error


def _apply(folder: Path, change: Change, ids: Sequence[str], vectors: Vectors) -> None:
    changes = len(change.removed) + len(ids)
    if not changes:
        return
    with _writing(folder) as client:
        collection = client.get_collection(_COLLECTION, embedding_function=None)
        # The graph is written to disk with the last change. Chroma takes no threshold below 2.
        threshold = max(changes, 2)
        collection.modify(
            configuration={"hnsw": {"sync_threshold": threshold, "batch_size": min(100, threshold)}}
        )
        most = client.get_max_batch_size()
        for start in range(0, len(change.removed), most):
            collection.delete(ids=list(change.removed[start : start + most]))
        _add(collection, ids, vectors, most)


def fill(client: Client, name: str, ids: Sequence[str], vectors: Vectors) -> Collection:
    """Create a collection and write all vectors into it."""
    count = max(len(ids), 2)
    hnsw: CreateHNSWConfiguration = {
        # Of unit vectors the inner product is the cosine, and they are kept bit for bit.
        "space": "ip",
        "max_neighbors": _NEIGHBOURS,
        "ef_construction": _EF_CONSTRUCTION,
        "ef_search": _EF_SEARCH,
        # The graph is written to disk once, with the last vector. Below the threshold it
        # would be built again from the log at each opening; far above it, rewritten often.
        "batch_size": min(100, count),
        "sync_threshold": count,
    }
    collection = client.create_collection(
        name, embedding_function=None, configuration={"hnsw": hnsw}
    )
    _add(collection, ids, vectors, client.get_max_batch_size())
    return collection


def missed(
    collection: Collection, ids: Sequence[str], vectors: Vectors, rows: Sequence[int]
) -> list[int]:
    """Return those of ``rows`` that a query for their vector does not find.

    A vector as near as the own one counts: equal texts have equal vectors.

    Raises:
        WorkbenchError: the collection has other ids, or an id has another vector.
    """
    if collection.count() != len(ids):
        raise WorkbenchError(f"Chroma kept {collection.count()} of {len(ids)} vectors.")
    row_of: dict[str | None, int] = {id_: row for row, id_ in enumerate(ids)}
    parts = [rows[i : i + _QUERIES_AT_ONCE] for i in range(0, len(rows), _QUERIES_AT_ONCE)]

    def ask(part: Sequence[int]) -> list[int]:
        own = np.asarray(vectors[list(part)])  # Chroma takes each number out: slow of a memmap
        found = collection.query(query_embeddings=own, n_results=1, include=["embeddings"])
        assert found["embeddings"] is not None, "embeddings were asked for"
        names = [best[0] if best else None for best in found["ids"]]
        own_name = [name == ids[row] for name, row in zip(names, part, strict=True)]
        kept = cast("list[Vectors]", found["embeddings"])
        near = [one[0] for one, same in zip(kept, own_name, strict=True) if same]
        right = (np.array(near, np.float32).reshape(-1, own.shape[1]) == own[own_name]).all(axis=1)
        if not right.all():
            hit = [row for row, same in zip(part, own_name, strict=True) if same]
            raise _wrong(ids[hit[int(np.argmin(right))]])
        # An id that no query returns is asked for by name.
        astray = [(row, name) for row, name in zip(part, names, strict=True) if name != ids[row]]
        _check_by_name(collection, ids, vectors, [row for row, _ in astray])
        return [row for row, name in astray if not near_enough(row, row_of.get(name))]

    def near_enough(row: int, other: int | None) -> bool:
        own = vectors[row]
        return other is not None and bool(vectors[other] @ own >= own @ own - _EQUAL)

    missing: list[int] = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with bar(total=len(rows), desc="Verify", unit="chunk") as progress:
            for part, lost in zip(parts, pool.map(ask, parts), strict=True):
                missing += lost
                progress.update(len(part))
    finally:
        pool.shutdown(cancel_futures=True)  # where one has failed, the others need not be asked
    return missing


def _check_by_name(
    collection: Collection, ids: Sequence[str], vectors: Vectors, rows: Sequence[int]
) -> None:
    if not rows:
        return
    found = collection.get(ids=[ids[row] for row in rows], include=["embeddings"])
    assert found["embeddings"] is not None, "embeddings were asked for"
    kept = dict(zip(found["ids"], found["embeddings"], strict=True))
    for row in rows:
        if not _is(kept.get(ids[row]), vectors[row]):
            raise _wrong(ids[row])


def _is(kept: object, vector: Vectors) -> bool:
    return kept is not None and np.array_equal(np.asarray(kept, np.float32), vector)


def not_found(ids: Sequence[str], rows: Sequence[int]) -> WorkbenchError:
    """Return the error of a collection in which queries miss some rows."""
    return WorkbenchError(
        f"Chroma does not find {len(rows)} of {len(ids)} vectors, such as that of {ids[rows[0]]}.",
        "Run it again; if that does not help, report it.",
    )


def _wrong(id_: str) -> WorkbenchError:
    return WorkbenchError(f"Chroma does not return the vector of {id_} as it was written.")


def _add(collection: Collection, ids: Sequence[str], vectors: Vectors, most: int) -> None:
    with bar(total=len(ids), desc="Write vectors", unit="chunk") as progress:
        for start in range(0, len(ids), most):
            part = np.asarray(vectors[start : start + most])
            collection.add(ids=list(ids[start : start + most]), embeddings=part)
            progress.update(len(part))


@contextmanager
def _writing(folder: Path) -> Iterator[Client]:
    client = _client(folder)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _copy_of(build: Path, hashes: Mapping[str, str]) -> Iterator[Client]:
    copy = private_copy(build, hashes, written=(f"{CHROMA}/{_DATABASE}",))
    try:
        with _writing(copy / CHROMA) as client:
            yield client
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _shrink(database_file: Path) -> None:
    """Give back the pages that the log of writes took: most of the file."""
    with closing(sqlite3.connect(database_file)) as database:
        database.execute("PRAGMA synchronous = OFF")  # a file torn by a power cut is built anew
        database.execute("VACUUM")


def _refuse_strangers(database_file: Path) -> None:
    """Look into a database for embedding functions, which Chroma would make where it meets them.

    We never name one. Chroma 1.5.9 makes what a collection names when its settings are changed
    or vectors are added, though not when it is only queried.

    Raises:
        WorkbenchError: there is one.
    """
    uri = f"{database_file.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        rows = database.execute("SELECT config_json_str, schema_str FROM collections").fetchall()
    for text in (text for row in rows for text in row if text):
        if any(kind not in _NO_FUNCTION for kind in _functions(json.loads(text))):
            raise WorkbenchError(
                "The vectors of this index name an embedding function, which we never do:"
                " somebody else wrote them.",
                "Remove the index's folder, and index the corpus again.",
            )


def _functions(node: object) -> Iterator[object]:
    """Yield the type of each embedding function that a collection's settings name."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node.get("embedding_function") is not None:
        function = node["embedding_function"]
        yield function.get("type") if isinstance(function, dict) else function
    for child in children:
        yield from _functions(child)


def _client(folder: Path) -> Client:
    if (folder / _DATABASE).exists():
        _refuse_strangers(folder / _DATABASE)
    with _opening:
        return cast("Client", chromadb.PersistentClient(str(folder), settings=plain_settings()))


def _let_go(client: Client, copy: Path) -> None:
    client.close()
    shutil.rmtree(copy, ignore_errors=True)
