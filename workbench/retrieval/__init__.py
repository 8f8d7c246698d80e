"""Finding chunks: embedders, the embedding cache, BM25, Chroma, and their fusion."""

from __future__ import annotations

from workbench.retrieval.building import (
    DEFAULT_EMBEDDER,
    build_index,
    list_indexes,
    open_index,
)
from workbench.retrieval.chunk_store import Cutting
from workbench.retrieval.embedders import (
    EMBEDDERS,
    adopt,
    canonical_name,
    load_embedder,
    register_embedder,
)
from workbench.retrieval.index import RETRIEVERS, Index, check_retriever
from workbench.retrieval.layout import IndexInfo
from workbench.retrieval.where import Where

__all__ = [
    "DEFAULT_EMBEDDER",
    "EMBEDDERS",
    "RETRIEVERS",
    "Cutting",
    "Index",
    "IndexInfo",
    "Where",
    "adopt",
    "build_index",
    "canonical_name",
    "check_retriever",
    "list_indexes",
    "load_embedder",
    "open_index",
    "register_embedder",
]
