"""Building, opening and listing indexes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.errors import BadInput, MissingCorpus, WorkbenchError
from workbench.progress import bar
from workbench.retrieval.chunk_store import ChunkStore, write_chunks
from workbench.retrieval.embedders import canonical_name, load_embedder
from workbench.retrieval.embedding_cache import EmbeddingCache
from workbench.retrieval.index import VIEWS, Index
from workbench.retrieval.layout import (
    BM25,
    CHROMA,
    CHUNKS,
    IndexInfo,
    Place,
    corpus_folder,
    damaged_files,
    read_info,
    snapshot,
    write_meta,
)
from workbench.retrieval.text import TEXT_VERSION, indexed_text
from workbench.settings import settings

if TYPE_CHECKING:
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import ChromaView
    from workbench.types import Chunk, Vectors

# Chosen from tests/benchmarks/retrieval.md: minilm finds far more (.526 to .313 MRR@10), but the
# standard library takes it minutes on two cores, and static seconds. Hybrid is best for static.
DEFAULT_EMBEDDER = "static"

_PACKAGES = ("bm25s", "chromadb", "numpy")
_VECTORS_AT_ONCE = 5000

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


def build_index(
    corpus: str,
    chunks: Callable[[], Iterable[Chunk]],
    embedder: str = DEFAULT_EMBEDDER,
    *,
    corpus_digest: str,
    chunker_fingerprint: str,
) -> Index:
    """Index the chunks of a corpus, or open the index where nothing changed.

    ``chunks`` is called only where something is to be built, and only chunks whose text was
    never embedded by this embedder are embedded. Interrupted anywhere, the index before stays
    the current one and the vectors that were computed stay in the cache.

    Raises:
        UnknownName: no embedder is called so.
        BadInput: there are no chunks, or two share an id.
        InUse: another process is building the same index.
        MissingModel: the embedder's weights are not to be had.
    """
    recipe = _Recipe(corpus, corpus_digest, canonical_name(embedder), chunker_fingerprint)
    fingerprint = load_embedder(recipe.embedder).fingerprint
    place = Place.of(corpus, recipe.embedder, fingerprint, chunker_fingerprint)
    ready = _up_to_date(place, corpus_digest)
    if ready is not None:
        return ready
    with place.exclusive():
        # Another thread or process may have built it while this one waited.
        return _up_to_date(place, corpus_digest) or _build(place, recipe, chunks())


def open_index(
    corpus: str,
    embedder: str | None = None,
    *,
    corpus_digest: str | None = None,
    chunker_fingerprint: str | None = None,
) -> Index:
    """Open an index; without ``embedder``, the one that was built last.

    A damaged one is built again from its chunks and the embedding cache.

    Raises:
        MissingCorpus: there is none, or it is older than ``corpus_digest``.
        InUse: it is damaged and another process is building it.
    """
    wanted = None if embedder is None else canonical_name(embedder)
    mend = f"Run: workbench index {corpus}" + (f" --embedder {wanted}" if wanted else "")
    found = [
        (info, place)
        for info, place in _builds(corpus_folder(corpus))
        if wanted in (None, info.embedder)
        and chunker_fingerprint in (None, info.chunker)
        and info.text_version == TEXT_VERSION
    ]
    if not found:
        known = sorted({info.corpus for info in list_indexes()} - {corpus})
        others = f" Indexed: {', '.join(known)}." if known else ""
        by = f" with embedder {wanted}" if wanted else ""
        raise MissingCorpus(f"The corpus {corpus} is not indexed{by}.{others}", mend)
    fresh = [(info, place) for info, place in found if corpus_digest in (None, info.corpus_digest)]
    if not fresh:
        raise MissingCorpus(f"The index of {corpus} is older than the corpus.", mend)
    info, place = max(fresh, key=lambda one: one[0].built)
    return _open(place) or _rebuild(place, info, mend)


def list_indexes() -> list[IndexInfo]:
    """Return what is indexed here, by corpus and embedder."""
    infos = [info for folder in sorted(settings().indexes.glob("*")) for info, _ in _builds(folder)]
    return sorted(infos, key=lambda info: (info.corpus, info.embedder, info.built))


def _builds(folder: Path) -> Iterator[tuple[IndexInfo, Place]]:
    for current in sorted(folder.glob("*/current")):
        place = Place(current.parent)
        build = place.current()
        info = read_info(build) if build else None
        if info is not None:
            yield info, place


def _up_to_date(place: Place, corpus_digest: str) -> Index | None:
    build = place.current()
    info = read_info(build) if build else None
    if info is None or info.corpus_digest != corpus_digest:
        return None
    return _open(place)


def _open(place: Place) -> Index | None:
    """Open the current build, or return None where it is damaged or there is none."""
    build = place.current()
    info = read_info(build) if build else None
    if build is None or info is None:
        return None
    count = info.chunks
    with _opening:
        index, seen = _opened.get(build, (None, None))
        if index is not None and seen == snapshot(build):
            return index
        if damaged_files(build, lambda folder: _chroma_answers(folder, count)):
            return None
        index = Index(build, info)
        for other in [one for one in _opened if one.parent == build.parent]:
            del _opened[other]
        _opened[build] = (index, snapshot(build))
        return index


def _chroma_answers(folder: Path, count: int) -> bool:
    return cast("type[ChromaView]", VIEWS.load(CHROMA)).answers(folder, count)


def _rebuild(place: Place, info: IndexInfo, mend: str) -> Index:
    """Build an index again from its own chunks, whose vectors are in the cache."""
    recipe = _Recipe(info.corpus, info.corpus_digest, info.embedder, info.chunker)
    with place.exclusive():
        ready = _open(place)
        if ready is not None:
            return ready
        build = place.current()
        assert build is not None, "a place with an index has a current build"
        if CHUNKS in damaged_files(build, lambda folder: True):
            raise MissingCorpus(f"The index of {info.corpus} is damaged.", mend)
        return _build(place, recipe, ChunkStore(build / CHUNKS))


def _build(place: Place, recipe: _Recipe, chunks: Iterable[Chunk]) -> Index:
    try:
        with place.new_build() as build:
            info = _write(build, recipe, chunks)
            write_meta(build, info)
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


def _write(build: Path, recipe: _Recipe, chunks: Iterable[Chunk]) -> IndexInfo:
    """Write chunks, words and vectors into a new folder, and return what was done."""
    embedder = load_embedder(recipe.embedder)
    words = cast("type[BM25View]", VIEWS.load(BM25))
    vectors = cast("type[ChromaView]", VIEWS.load(CHROMA))
    clock = _Clock()
    count = write_chunks(build / CHUNKS, bar(chunks, desc="Chunk", unit="chunk"))
    if not count:
        raise BadInput(
            f"The corpus {recipe.corpus} has no chunks.",
            f"Crawl more into it: workbench crawl {recipe.corpus} folder:PATH",
        )
    kept = list(ChunkStore(build / CHUNKS))
    texts = [indexed_text(chunk) for chunk in kept]
    clock.stop("chunk")
    cache = EmbeddingCache(embedder)
    encoded = cache.fill(texts)
    clock.stop("embed")
    words.build(build / BM25, texts)
    clock.stop("bm25")
    vectors.build(build / CHROMA, [chunk.id for chunk in kept], _in_batches(cache, texts))
    clock.stop("vectors")
    return IndexInfo(
        corpus=recipe.corpus,
        corpus_digest=recipe.corpus_digest,
        embedder=recipe.embedder,
        fingerprint=embedder.fingerprint,
        chunker=recipe.chunker,
        text_version=TEXT_VERSION,
        chunks=count,
        dimensions=cache.vectors(texts[:1]).shape[1],
        encoded=encoded,
        seconds=clock.seconds(),
        bytes=sum(path.stat().st_size for path in build.rglob("*") if path.is_file()),
        built=datetime.now(UTC).isoformat(timespec="milliseconds"),
        versions={name: version(name) for name in _PACKAGES},
    )


def _in_batches(cache: EmbeddingCache, texts: Sequence[str]) -> Iterator[Vectors]:
    with bar(total=len(texts), desc="Write vectors", unit="chunk") as progress:
        for start in range(0, len(texts), _VECTORS_AT_ONCE):
            batch = cache.vectors(texts[start : start + _VECTORS_AT_ONCE])
            yield batch
            progress.update(len(batch))


class _Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._steps: dict[str, float] = {}

    def stop(self, step: str) -> None:
        now = time.perf_counter()
        self._steps[step] = now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._start
        return {name: round(value, 3) for name, value in {**self._steps, "total": total}.items()}
