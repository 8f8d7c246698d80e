"""Three ways of finding chunks in an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import BadInput
from workbench.retrieval.fusion import fuse
from workbench.retrieval.ranking import best
from workbench.retrieval.text import cut_query
from workbench.types import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.retrieval.chunk_store import ChunkStore, Mask
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import ChromaView
    from workbench.types import Chunk, Embedder, Retriever, Vectors

# A chunk below rank 100 in both rankings would be worth 2/161 at most, less than rank 20 in one of
# them alone: it never belongs among the first 20.
DEPTH = 100


class BM25Retriever:
    """Chunks that share words with the query. Loads no model."""

    def __init__(self, chunks: ChunkStore, view: BM25View, allowed: Mask | None = None) -> None:
        self._chunks = chunks
        self._view = view
        self._allowed = allowed

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits by BM25.

        Raises:
            BadInput: the query is empty or k is below 1.
        """
        found = self._view.search(cut_query(query), checked(k), self._allowed)
        return _hits(self._chunks.at([position for position, _ in found]), found)


class DenseRetriever:
    """Chunks whose vectors lie near the query's, by Chroma."""

    def __init__(self, chunks: ChunkStore, view: ChromaView, embedder: Embedder) -> None:
        self._chunks = chunks
        self._view = view
        self._embedder = embedder

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits by cosine.

        Raises:
            BadInput: the query is empty or k is below 1.
            MissingModel: the embedder's weights are not to be had.
        """
        vector = self._embedder.encode([cut_query(query)], "query")[0]
        found = self._view.search(vector, checked(k))
        return _hits(self._chunks.called([id_ for id_, _ in found]), found)


class ExactDenseRetriever:
    """Allowed chunks whose vectors lie near the query's, by comparing with each of them.

    Chroma could be told the allowed ids, but a graph that may return few of its nodes is walked
    long and misses some; one product over the allowed rows of 100,000 takes at most 30 ms.
    """

    def __init__(
        self, chunks: ChunkStore, vectors: Vectors, embedder: Embedder, allowed: Mask
    ) -> None:
        self._chunks = chunks
        self._vectors = vectors
        self._embedder = embedder
        self._allowed = np.flatnonzero(allowed)
        # Where most are allowed, taking them out costs more than comparing with all.
        self._all = 2 * len(self._allowed) > len(allowed)

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits by cosine.

        Raises:
            BadInput: the query is empty or k is below 1.
            MissingModel: the embedder's weights are not to be had.
        """
        vector = self._embedder.encode([cut_query(query)], "query")[0]
        if self._all:
            scores = (self._vectors @ vector)[self._allowed]
        else:
            scores = self._vectors[self._allowed] @ vector
        found = best(scores, self._allowed, checked(k))
        return _hits(self._chunks.at([position for position, _ in found]), found)


class HybridRetriever:
    """Reciprocal rank fusion of other retrievers, each read to a depth of 100 or ``k``."""

    def __init__(self, retrievers: tuple[Retriever, ...]) -> None:
        self._retrievers = retrievers

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits by fused rank.

        Raises:
            BadInput: the query is empty or k is below 1.
            MissingModel: an embedder's weights are not to be had.
        """
        depth = max(checked(k), DEPTH)
        return fuse([one.search(query, depth) for one in self._retrievers], k)


def checked(k: int) -> int:
    """Return ``k`` where at least one hit is asked for.

    Raises:
        BadInput: it is below 1.
    """
    if k < 1:
        raise BadInput(f"k is {k}.", "Ask for at least one hit: --k 5")
    return k


def _hits(chunks: Iterable[Chunk], found: Iterable[tuple[object, float]]) -> list[Hit]:
    return [
        Hit(chunk, score, rank)
        for rank, (chunk, (_, score)) in enumerate(zip(chunks, found, strict=True), 1)
    ]
