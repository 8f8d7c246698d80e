"""Building, opening and listing indexes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.durable import point
from workbench.errors import BadInput, MissingCorpus, WorkbenchError
from workbench.progress import bar
from workbench.retrieval.chunk_store import (
    ChunkStore,
    Cutting,
    KnownChunks,
    Source,
    pieces,
    write_chunks,
)
from workbench.retrieval.embedders import canonical_name, load_embedder
from workbench.retrieval.embedding_cache import EmbeddingCache
from workbench.retrieval.index import VIEWS, Index, vector_store
from workbench.retrieval.layout import (
    BM25,
    CHUNKS,
    VECTORS,
    IndexInfo,
    Meta,
    Place,
    corpus_folder,
    damaged_files,
    is_as_written,
    snapshot,
    write_meta,
)
from workbench.retrieval.server_url import server_label
from workbench.retrieval.text import TEXT_VERSION, indexed_text
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import Change
    from workbench.types import Vectors

# Chosen from tests/benchmarks/retrieval.md: minilm finds far more (.526 to .313 MRR@10), but the
# standard library takes it minutes on two cores, and static seconds. Hybrid is best for static.
DEFAULT_EMBEDDER = "static"

_PACKAGES = ("bm25s", "chromadb", "numpy")
# What is written by one version of these is not given to the native code of another.
_MUST_AGREE = ("bm25s", "chromadb")
_VECTORS_AT_ONCE = 5000
# Vectors that may be put into or taken out of Chroma's graph, as a share of all, before it is
# built anew: what is taken out stays in it as a dead node that searches pass through.
_MOST_CHANGES = 0.1

# Builds that this process found whole, with the state of their files at that time.
_opened: dict[Path, tuple[Index, dict[str, tuple[int, int]]]] = {}
_opening = threading.RLock()


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What an index is to be made of, but for the chunks."""

    corpus: str
    corpus_digest: str
    embedder: str
    chunker: str
    server: str | None


@dataclass(frozen=True, slots=True)
class _Before:
    """A build that was found whole, to start from."""

    folder: Path
    info: IndexInfo


def build_index(
    corpus: str,
    chunks: Source,
    embedder: str = DEFAULT_EMBEDDER,
    *,
    corpus_digest: str,
    chunker_fingerprint: str,
) -> Index:
    """Index the chunks of a corpus, or open the index where nothing changed.

    ``chunks`` is called only where something is to be built. Where it is a ``Cutting``, documents
    that an earlier build of this corpus had are not cut again. Only chunks whose text was never
    embedded by this embedder are embedded, and few changes to an index are made to a copy of it.
    Interrupted anywhere, the index before stays the current one and the vectors that were
    computed stay in the cache. Every vector is looked up and searched for before the new build
    takes the place of the one before.

    Raises:
        UnknownName: no embedder is called so.
        BadInput: there are no chunks, or two share an id.
        InUse: another process is building the same index.
        MissingModel: the embedder's weights are not to be had.
    """
    recipe = _Recipe(
        corpus, corpus_digest, canonical_name(embedder), chunker_fingerprint, server_label()
    )
    fingerprint = load_embedder(recipe.embedder).fingerprint
    place = Place.of(corpus, recipe.embedder, fingerprint, chunker_fingerprint, recipe.server)
    ready = _up_to_date(place, corpus_digest)
    if ready is not None:
        return ready
    with place.exclusive():
        # Another thread or process may have built it while this one waited.
        return _up_to_date(place, corpus_digest) or _build(place, recipe, chunks)


def open_index(
    corpus: str,
    embedder: str | None = None,
    *,
    corpus_digest: str | None = None,
    chunker_fingerprint: str | None = None,
    chunks: Source | None = None,
) -> Index:
    """Open an index; without ``embedder``, the one that was built last.

    A damaged one is built again from its chunks and the embedding cache, and where its chunks
    are damaged, from ``chunks``.

    Raises:
        MissingCorpus: there is none, or it is older than ``corpus_digest``, or its chunks are
            damaged and no others were given.
        InUse: it is damaged and another process is building it.
    """
    wanted = None if embedder is None else canonical_name(embedder)
    mend = f"Run: workbench index {corpus}" + (f" --embedder {wanted}" if wanted else "")
    server = server_label()
    found = [
        (meta.info, place)
        for meta, place in _builds(corpus_folder(corpus))
        if wanted in (None, meta.info.embedder)
        and chunker_fingerprint in (None, meta.info.chunker)
        and meta.info.text_version == TEXT_VERSION
        and meta.info.server == server
    ]
    if not found:
        known = sorted({info.corpus for info in list_indexes()} - {corpus})
        others = f" Indexed: {', '.join(known)}." if known else ""
        by = f" with embedder {wanted}" if wanted else ""
        at = f" in the Chroma server {server}" if server else ""
        raise MissingCorpus(f"The corpus {corpus} is not indexed{by}{at}.{others}", mend)
    fresh = [(info, place) for info, place in found if corpus_digest in (None, info.corpus_digest)]
    if not fresh:
        raise MissingCorpus(f"The index of {corpus} is older than the corpus.", mend)
    info, place = max(fresh, key=lambda one: one[0].built)
    return _open(place) or _rebuild(place, info, chunks, mend)


def list_indexes() -> list[IndexInfo]:
    """Return what is indexed here, by corpus and embedder."""
    folders = sorted(settings().indexes.glob("*"))
    infos = [meta.info for folder in folders for meta, _ in _builds(folder)]
    return sorted(infos, key=lambda info: (info.corpus, info.embedder, info.built))


def _builds(folder: Path) -> Iterator[tuple[Meta, Place]]:
    for one in sorted(folder.glob("*/")):
        place = Place(one)
        meta = place.current()
        if meta is not None:
            yield meta, place


def _up_to_date(place: Place, corpus_digest: str) -> Index | None:
    meta = place.current()
    if meta is None or meta.info.corpus_digest != corpus_digest:
        return None
    return _open(place)


def _open(place: Place) -> Index | None:
    """Open the current build, or return None where it is damaged or there is none."""
    meta = place.current()
    if meta is None or not _fits(meta.info):
        return None
    build = place.path(meta)
    with _opening:
        index, seen = _opened.get(build, (None, None))
        if index is not None and seen == snapshot(build, meta):
            return index
        if damaged_files(build, meta):
            return None
        index = Index(build, meta.info)
        if meta.info.server and not _is_served(index):
            return None
        for other in [one for one in _opened if one.parent == build.parent]:
            del _opened[other]
        _opened[build] = (index, snapshot(build, meta))
        return index


def _fits(info: IndexInfo) -> bool:
    """Say whether the packages that read an index are those that wrote it."""
    return all(info.versions.get(name) == _versions().get(name) for name in _MUST_AGREE)


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _is_served(index: Index) -> bool:
    return vector_store(index.info.server).holds(index.folder, index.ids(), index.vectors())


def _rebuild(place: Place, info: IndexInfo, chunks: Source | None, mend: str) -> Index:
    """Build an index again from its own chunks, whose vectors are in the cache."""
    recipe = _Recipe(info.corpus, info.corpus_digest, info.embedder, info.chunker, info.server)
    if load_embedder(info.embedder).fingerprint != info.fingerprint:
        raise MissingCorpus(
            f"The index of {info.corpus} is damaged, and was built with another {info.embedder}.",
            mend,
        )
    with place.exclusive():
        ready = _open(place)
        if ready is not None:
            return ready
        meta = place.current()
        if meta is not None and CHUNKS not in damaged_files(place.path(meta), meta):
            return _build(place, recipe, KnownChunks(place.path(meta) / CHUNKS))
        if chunks is not None:
            return _build(place, recipe, chunks)
        raise MissingCorpus(f"The index of {info.corpus} is damaged.", mend)


def _build(place: Place, recipe: _Recipe, chunks: Source) -> Index:
    before = _whole(place)
    store = vector_store(recipe.server)
    try:
        with place.new_build(store.remove) as build:
            info = _write(build, recipe, chunks, before)
            write_meta(build, info)
            point("index.verified")
    except (OSError, sqlite3.Error) as error:
        raise WorkbenchError(
            f"The index of {recipe.corpus} cannot be written: {error}.",
            f"Mend that, then run: workbench index {recipe.corpus} --embedder {recipe.embedder}",
        ) from error
    index = _open(place)
    if index is None:
        raise WorkbenchError(
            f"The index of {recipe.corpus} changed on disk while it was built.",
            f"Run: workbench index {recipe.corpus} --embedder {recipe.embedder}",
        )
    return index


def _whole(place: Place) -> _Before | None:
    """Return the current build of a place where it can be built upon."""
    meta = place.current()
    if meta is None or not _fits(meta.info) or damaged_files(place.path(meta), meta):
        return None
    return _Before(place.path(meta), meta.info)


def _known_chunks(recipe: _Recipe, before: _Before | None) -> KnownChunks | None:
    """Return the chunks of an earlier build of this corpus by this chunker, if there is one."""
    if before is not None:
        return KnownChunks(before.folder / CHUNKS)
    for meta, place in _builds(corpus_folder(recipe.corpus)):
        if (meta.info.chunker, meta.info.text_version) == (recipe.chunker, TEXT_VERSION):
            build = place.path(meta)
            if is_as_written(build, meta, CHUNKS):
                return KnownChunks(build / CHUNKS)
    return None


def _write(build: Path, recipe: _Recipe, chunks: Source, before: _Before | None) -> IndexInfo:
    """Write chunks, words and vectors into a new folder, check them, and say what was done."""
    embedder = load_embedder(recipe.embedder)
    words = cast("type[BM25View]", VIEWS.load(BM25))
    clock = _Clock()
    known = _known_chunks(recipe, before)
    total = chunks.total if isinstance(chunks, Cutting) else None
    cut = bar(pieces(chunks, known), total=total, desc="Chunk", unit=" files")
    count = write_chunks(build / CHUNKS, cut, known.path if known else None)
    if not count:
        raise BadInput(
            f"The corpus {recipe.corpus} has no chunks.",
            f"Crawl more into it: workbench crawl {recipe.corpus} folder:PATH",
        )
    point("index.chunks")
    kept = ChunkStore(build / CHUNKS)
    ids, texts = kept.ids(), [indexed_text(chunk) for chunk in kept]
    clock.stop("chunk")
    cache = EmbeddingCache(embedder)
    encoded = cache.fill(texts)
    clock.stop("embed")
    words.build(build / BM25, texts, before.folder / BM25 if before else None)
    point("index.bm25")
    clock.stop("bm25")
    vectors = _write_vectors(build / VECTORS, cache, texts)
    changes = _write_view(build, recipe.server, ids, vectors, before, clock)
    return IndexInfo(
        corpus=recipe.corpus,
        corpus_digest=recipe.corpus_digest,
        embedder=recipe.embedder,
        fingerprint=embedder.fingerprint,
        chunker=recipe.chunker,
        text_version=TEXT_VERSION,
        chunks=count,
        dimensions=vectors.shape[1],
        encoded=encoded,
        seconds=clock.seconds(),
        bytes=sum(path.stat().st_size for path in build.rglob("*") if path.is_file()),
        built=datetime.now(UTC).isoformat(timespec="milliseconds"),
        versions=dict(_versions()),
        server=recipe.server,
        changes=changes,
    )


def _write_vectors(path: Path, cache: EmbeddingCache, texts: Sequence[str]) -> Vectors:
    """Write the vectors of all texts to a file, and return them as they lie there."""
    import numpy as np

    width = cache.vectors(texts[:1]).shape[1]
    rows = np.lib.format.open_memmap(path, "w+", np.dtype("<f4"), (len(texts), width))
    for start in range(0, len(texts), _VECTORS_AT_ONCE):
        part = texts[start : start + _VECTORS_AT_ONCE]
        rows[start : start + len(part)] = cache.vectors(part)
    rows.flush()
    return cast("Vectors", np.load(path, mmap_mode="r"))


def _write_view(
    build: Path,
    server: str | None,
    ids: Sequence[str],
    vectors: Vectors,
    before: _Before | None,
    clock: _Clock,
) -> int:
    """Write the vectors into Chroma and check them there; return the changes to its graph.

    Where a change fails, or does not stand the check, all is written anew.

    Raises:
        WorkbenchError: Chroma does not find all vectors in a collection that was built whole.
    """
    store = vector_store(server)
    change = _change(before, ids, vectors) if before and server is None else None
    while True:
        try:
            store.write(build, ids, vectors, change)
            point("index.vectors")
            clock.stop("vectors")
            store.verify(build, ids, vectors)
        except WorkbenchError:
            if change is None:
                raise
            store.clear(build)
            change = None
            continue
        clock.stop("verify")
        if change is None or before is None:
            return 0
        return before.info.changes + len(change.removed) + len(change.rows)


def _change(before: _Before, ids: Sequence[str], vectors: Vectors) -> Change | None:
    """Return how the vectors differ from those before, None where they differ in too much."""
    import numpy as np

    from workbench.retrieval.vectors import Change

    old = np.load(before.folder / VECTORS, mmap_mode="r")
    row_before = {id_: row for row, id_ in enumerate(ChunkStore(before.folder / CHUNKS).ids())}
    pairs = [(row, row_before[id_]) for row, id_ in enumerate(ids) if id_ in row_before]
    same: set[int] = set()
    for start in range(0, len(pairs), _VECTORS_AT_ONCE):
        now, then = np.array(pairs[start : start + _VECTORS_AT_ONCE]).T
        same.update(now[(vectors[now] == old[then]).all(axis=1)].tolist())
    stay = {ids[row] for row in same}
    removed = [id_ for id_ in row_before if id_ not in stay]
    rows = [row for row in range(len(ids)) if row not in same]
    if before.info.changes + len(removed) + len(rows) > _MOST_CHANGES * len(ids):
        return None
    return Change(before.folder, removed, rows)


class _Clock:
    """Seconds by step; what is stopped twice is added up."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._steps: dict[str, float] = {}

    def stop(self, step: str) -> None:
        now = time.perf_counter()
        self._steps[step] = self._steps.get(step, 0.0) + now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._start
        return {name: round(value, 3) for name, value in {**self._steps, "total": total}.items()}
