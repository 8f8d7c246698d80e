"""An index that was built: opened, searched, and shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from workbench.errors import BadInput, MissingCorpus, UnknownName, WorkbenchError
from workbench.registry import Registry
from workbench.retrieval.chunk_store import ChunkStore
from workbench.retrieval.embedders import base_of, load_embedder
from workbench.retrieval.layout import BM25, CHROMA, CHUNKS, META, VECTORS, IndexInfo, read_meta
from workbench.retrieval.rerank import SEPARATOR, Reranked, check_reranker, load_reranker
from workbench.retrieval.retrievers import (
    BM25Retriever,
    DenseRetriever,
    ExactDenseRetriever,
    HybridRetriever,
)
from workbench.retrieval.text import cut_query

if TYPE_CHECKING:
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import Change, ChromaView
    from workbench.retrieval.where import Where
    from workbench.types import Chunk, Hit, Retriever, Vectors

T = TypeVar("T")

RETRIEVERS = ("bm25", "dense", "hybrid")
# Fusing with BM25 lifts static from .259 to .331 MRR@10 on CoSQA's dev queries and lowers minilm
# from .534 to .452: it helps where the vectors are no better than words. Of what is tuned from
# static the same holds: hybrid .424, dense .409 nDCG@10 on the test queries.
_FUSED = ("static",)

VIEWS = Registry("view of a corpus")
VIEWS.add(BM25, "workbench.retrieval.lexical:BM25View", "words", extra="retrieval")
VIEWS.add(CHROMA, "workbench.retrieval.vectors:EmbeddedChroma", "vectors", extra="retrieval")
VIEWS.add(
    "chroma server",
    "workbench.retrieval.chroma_server:ChromaServer",
    "vectors, in a server",
    extra="retrieval",
)


def vector_store(server: str | None) -> VectorStore:
    """Return what writes and opens Chroma collections: in files, or in the server.

    Raises:
        MissingExtra: Chroma is not installed.
        WorkbenchError: that server is not the one that is set now.
    """
    made = VIEWS.load("chroma server")(server) if server else VIEWS.load(CHROMA)()
    return cast("VectorStore", made)


class VectorStore(Protocol):
    """Keeps the vectors of builds in Chroma; ``build`` is a build's folder."""

    def write(
        self, build: Path, ids: Sequence[str], vectors: Vectors, change: Change | None = None
    ) -> None:
        """Write float32[len(ids), dim], by a change to the build before where one is given."""

    def verify(self, build: Path, ids: Sequence[str], vectors: Vectors) -> None:
        """Find every id with its vector, and every vector by a query, or raise WorkbenchError."""

    def open(self, build: Path, hashes: Mapping[str, str]) -> ChromaView:
        """Open what was written."""

    def holds(self, build: Path, ids: Sequence[str], vectors: Vectors) -> bool:
        """Say whether what lies outside the build's folder is still there."""

    def clear(self, build: Path) -> None:
        """Undo ``write``."""

    def remove(self, build: Path) -> None:
        """Remove what lies outside the build's folder."""


def check_retriever(name: str) -> tuple[str, str]:
    """Return the two parts of a retriever's name: what searches, and what reranks ("" if none).

    Raises:
        UnknownName: no retriever or reranker is called so.
        BadInput: the reranker takes a model, and none was named.
    """
    first, plus, second = name.partition(SEPARATOR)
    if first not in RETRIEVERS:
        raise UnknownName("retriever", first, RETRIEVERS)
    if plus:
        check_reranker(second)
    return first, second


class Index:
    """The chunks of one corpus, searchable by words, by vectors, or by both.

    Several threads may search at once. What a search does not need is not opened: ``bm25`` loads
    neither Chroma nor an embedder. ``info`` says what it was built from and what that cost;
    ``mode`` is the retriever that measured best for its embedder, used where none is named.
    """

    def __init__(self, folder: Path, info: IndexInfo) -> None:
        self.folder = folder
        self.info = info
        self.mode = "hybrid" if base_of(info.embedder) in _FUSED else "dense"
        self._chunks = ChunkStore(folder / CHUNKS)
        self._opened: dict[str, object] = {}
        self._lock = threading.RLock()

    def search(
        self, query: str, k: int = 5, mode: str | None = None, where: Where | None = None
    ) -> list[Hit]:
        """Return at most ``k`` hits, best first; a long query is cut to its start.

        With ``where``: the best among the chunks that it allows, not those of the best that it
        allows.

        Raises:
            BadInput: the query is empty, ``k`` is below 1, no retriever is called ``mode``, or
                no chunk has a language or licence that ``where`` names.
            MissingModel: the embedder's weights are not to be had.
        """
        return self.retriever(mode, where).search(query, k)

    def retriever(self, mode: str | None = None, where: Where | None = None) -> Retriever:
        """Return what searches this index by ``mode``: bm25, dense or hybrid.

        With a reranker behind it, as in ``hybrid+cross-encoder/<id or folder>``, the first hits
        are read again and put into its order.

        Raises:
            UnknownName: no retriever is called so, or no chunk has a language or licence that
                ``where`` names.
            MissingCorpus: the embedder is no longer the one that the index was built with.
            MissingModel: the reranker is not to be had.
        """
        name, reranker = check_retriever(mode or self.mode)
        make = {"bm25": self._bm25, "dense": self._dense, "hybrid": self._hybrid}[name]
        found = make(where) if where else self._once(f"retriever {name}", lambda: make(None))
        return Reranked(found, load_reranker(reranker)) if reranker else found

    def as_retriever(self, k: int = 5, mode: str | None = None, where: Where | None = None) -> Any:
        """Return a LangChain retriever over this index.

        Raises:
            MissingExtra: LangChain is not installed.
        """
        from workbench.langchain import as_retriever

        return as_retriever(self.retriever(mode, where), k=k)

    def ids(self) -> list[str]:
        """Return the ids of all chunks, in their order."""
        return self._chunks.ids()

    def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks with these ids, in their order.

        Raises:
            BadInput: no chunk has one of them.
        """
        try:
            return self._chunks.called(ids)
        except KeyError as error:
            raise _no_chunk(error) from None

    def vectors(self) -> Vectors:
        """Return float32[chunks, dim] in the order of the chunks, read from disk as needed."""
        return self._once("vectors", lambda: np.load(self.folder / VECTORS, mmap_mode="r"))

    def explain(self, query: str, chunk_id: str) -> dict[str, float]:
        """Return what each word of a query adds to a chunk's BM25 score; they sum to it.

        Raises:
            BadInput: no chunk has that id, or the query is empty.
        """
        try:
            position = self._chunks.position(chunk_id)
        except KeyError as error:
            raise _no_chunk(error) from None
        return self._words().contributions(cut_query(query), position)

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

    def _bm25(self, where: Where | None) -> Retriever:
        allowed = self._chunks.allowed(where) if where else None
        return BM25Retriever(self._chunks, self._words(), allowed)

    def _dense(self, where: Where | None) -> Retriever:
        embedder = load_embedder(self.info.embedder)
        if embedder.fingerprint != self.info.fingerprint:
            raise MissingCorpus(
                f"The index of {self.info.corpus} was built with another {self.info.embedder}"
                f" ({self.info.fingerprint}, not {embedder.fingerprint}).",
                f"Run: workbench index {self.info.corpus} --embedder {self.info.embedder}",
            )
        if where:
            allowed = self._chunks.allowed(where)
            return ExactDenseRetriever(self._chunks, self.vectors(), embedder, allowed)
        return DenseRetriever(self._chunks, self._once(CHROMA, self._open_chroma), embedder)

    def _hybrid(self, where: Where | None) -> Retriever:
        return HybridRetriever((self.retriever("bm25", where), self.retriever("dense", where)))

    def _words(self) -> BM25View:
        view = cast("type[BM25View]", VIEWS.load(BM25))
        return self._once(BM25, lambda: view(self.folder / BM25))

    def _open_chroma(self) -> ChromaView:
        meta = read_meta(self.folder / META)
        if meta is None:
            raise WorkbenchError(
                f"The index of {self.info.corpus} was damaged or removed meanwhile.",
                "Open it again.",
            )
        return vector_store(self.info.server).open(self.folder, meta.hashes)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = make()
            return cast("T", self._opened[name])


def _no_chunk(error: KeyError) -> BadInput:
    return BadInput(f"No chunk of this index is called '{error.args[0]}'.")
