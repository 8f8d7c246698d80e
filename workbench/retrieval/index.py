"""An index that was built: opened, searched, and shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from workbench.errors import MissingCorpus, UnknownName
from workbench.registry import Registry
from workbench.retrieval.chunk_store import ChunkStore
from workbench.retrieval.embedders import load_embedder
from workbench.retrieval.layout import BM25, CHROMA, CHUNKS, IndexInfo
from workbench.retrieval.retrievers import BM25Retriever, DenseRetriever, HybridRetriever

if TYPE_CHECKING:
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import ChromaView
    from workbench.types import Chunk, Hit, Retriever

T = TypeVar("T")

RETRIEVERS = ("bm25", "dense", "hybrid")
# Fusing with BM25 lifts static from .259 to .331 MRR@10 on CoSQA's dev queries and lowers minilm
# from .534 to .452: it helps where the vectors are no better than words.
_FUSED = ("static",)

VIEWS = Registry("view of a corpus")
VIEWS.add(BM25, "workbench.retrieval.lexical:BM25View", "words", extra="retrieval")
VIEWS.add(CHROMA, "workbench.retrieval.vectors:ChromaView", "vectors", extra="retrieval")


class Index:
    """The chunks of one corpus, searchable by words, by vectors, or by both.

    Several threads may search at once. What a search does not need is not opened: ``bm25`` loads
    neither Chroma nor an embedder. ``info`` says what it was built from and what that cost;
    ``mode`` is the retriever that measured best for its embedder, used where none is named.
    """

    def __init__(self, folder: Path, info: IndexInfo) -> None:
        self.folder = folder
        self.info = info
        self.mode = "hybrid" if info.embedder in _FUSED else "dense"
        self._chunks = ChunkStore(folder / CHUNKS)
        self._opened: dict[str, object] = {}
        self._lock = threading.RLock()

    def search(self, query: str, k: int = 5, mode: str | None = None) -> list[Hit]:
        """Return at most ``k`` hits, best first; a long query is cut to its start.

        Raises:
            BadInput: the query is empty, ``k`` is below 1, or no retriever is called ``mode``.
            MissingModel: the embedder's weights are not to be had.
        """
        return self.retriever(mode or self.mode).search(query, k)

    def retriever(self, mode: str | None = None) -> Retriever:
        """Return what searches this index by ``mode``: bm25, dense or hybrid.

        Raises:
            UnknownName: no retriever is called so.
            MissingCorpus: the embedder is no longer the one that the index was built with.
        """
        name = mode or self.mode
        if name not in RETRIEVERS:
            raise UnknownName("retriever", name, RETRIEVERS)
        make = {"bm25": self._bm25, "dense": self._dense, "hybrid": self._hybrid}
        return self._once(f"retriever {name}", make[name])

    def __len__(self) -> int:
        return self.info.chunks

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    def __repr__(self) -> str:
        return f"<Index {self.info}>"

    def _repr_html_(self) -> str:
        info = self.info
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in info.seconds.items())
        rows = {
            "corpus": info.corpus,
            "chunks": f"{info.chunks:,} by {info.chunker}",
            "embedder": f"{info.embedder} ({info.dimensions} dimensions)",
            "retriever": self.mode,
            "built": f"{info.built}, {info.encoded:,} embedded",
            "seconds": steps,
            "on disk": f"{info.bytes / 1e6:.1f} MB",
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"

    def _bm25(self) -> Retriever:
        view = cast("type[BM25View]", VIEWS.load(BM25))
        return BM25Retriever(self._chunks, view(self.folder / BM25))

    def _dense(self) -> Retriever:
        embedder = load_embedder(self.info.embedder)
        if embedder.fingerprint != self.info.fingerprint:
            raise MissingCorpus(
                f"The index of {self.info.corpus} was built with another {self.info.embedder}"
                f" ({self.info.fingerprint}, not {embedder.fingerprint}).",
                f"Run: workbench index {self.info.corpus} --embedder {self.info.embedder}",
            )
        view = cast("type[ChromaView]", VIEWS.load(CHROMA))
        return DenseRetriever(self._chunks, view(self.folder / CHROMA), embedder)

    def _hybrid(self) -> Retriever:
        return HybridRetriever((self.retriever("bm25"), self.retriever("dense")))

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = make()
            return cast("T", self._opened[name])
