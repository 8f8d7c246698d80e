"""The menu of chunkers, and a corpus cut by one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.corpus.store import Corpus
from workbench.progress import bar
from workbench.registry import Registry
from workbench.types import Chunk, Chunker

CHUNKERS = Registry("chunker")
CHUNKERS.add(
    "syntax",
    "workbench.corpus.syntax:SyntaxChunker",
    "functions, classes and module heads, by tree-sitter",
)
CHUNKERS.add(
    "recursive",
    "workbench.corpus.recursive:RecursiveChunker",
    "LangChain's language splitter: at the separators of the language",
    extra="langchain",
)
CHUNKERS.add(
    "lines",
    "workbench.corpus.windows:LineChunker",
    "windows of lines that overlap, for any text",
)

DEFAULT_CHUNKER = "syntax"


def make_chunker(name: str = DEFAULT_CHUNKER, **settings: Any) -> Chunker:
    """Return the chunker called ``name``, with settings other than its defaults if given.

    Raises:
        UnknownName: no chunker is called so.
    """
    chunker: Chunker = CHUNKERS.load(name)(**settings)
    return chunker


def chunk_corpus(corpus: Corpus, chunker: Chunker | None = None) -> Iterator[Chunk]:
    """Yield the chunks of all documents, in their order, cut by ``chunker`` (default: syntax)."""
    cutter = chunker or make_chunker()
    documents = bar(
        corpus.documents(), total=len(corpus), desc=f"Chunking {corpus.name}", unit=" files"
    )
    for document in documents:
        yield from cutter.chunk(document)
