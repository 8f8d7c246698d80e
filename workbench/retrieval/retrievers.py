"""Three ways of finding chunks in an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.retrieval.fusion import fuse
from workbench.retrieval.text import cut_query
from workbench.types import Hit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.retrieval.chunk_store import ChunkStore
    from workbench.retrieval.lexical import BM25View
    from workbench.retrieval.vectors import ChromaView
    from workbench.types import Chunk, Embedder, Retriever

# A chunk below rank 100 in both rankings would be worth 2/161 at most, less than rank 20 in one of
# them alone: it never belongs among the first 20.
DEPTH = 100


class BM25Retriever:
    """Chunks that share words with the query. Loads no model."""

    def __init__(self, chunks: ChunkStore, view: BM25View) -> None:
        self._chunks = chunks
        self._view = view

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits by BM25.

        Raises:
            BadInput: the query is empty or k is below 1.
        """
        found = self._view.search(cut_query(query), checked(k))
        return _hits(self._chunks.at([position for position, _ in found]), found)


class DenseRetriever:
    """Chunks whose vectors lie near the query's."""

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
