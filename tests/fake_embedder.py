"""An embedder without a model, chunks to index with it, and ways of damaging files."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from workbench.registry import Entry
from workbench.retrieval import Cutting, Index, build_index, embedders
from workbench.types import Chunk, Document, Hit, TextKind

DIMENSIONS = 16


class FakeEmbedder:
    """Sums a fixed random direction for each word, so that shared words mean nearness."""

    def __init__(self, fingerprint: str = "fake/1") -> None:
        self.fingerprint = fingerprint
        self.encoded: list[str] = []
        self.queries = 0
        self.fail_after: int | None = None

    def encode(self, texts: Sequence[str], kind: TextKind) -> np.ndarray:
        if kind == "document":
            if self.fail_after is not None and len(self.encoded) >= self.fail_after:
                raise RuntimeError("the power went out")
            self.encoded += texts
        else:
            self.queries += 1
        rows = np.stack([sum(map(direction, text.split()), np.zeros(DIMENSIONS)) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def chunk(number: int, text: str, symbol: str | None = None) -> Chunk:
    lines = text.count("\n") + 1
    return Chunk(f"c{number}", text, f"f{number}.py", 1, lines, "python", symbol, "here", "MIT")


WORDS = ["sort", "list", "merge", "open", "socket", "parse", "json", "read", "file", "write"]
WORDS += ["queue", "stack", "heap"]


def some_chunks(count: int = 40) -> list[Chunk]:
    dice = random.Random(7)
    return [
        chunk(i, f"def thing{i}():\n    {' '.join(dice.choices(WORDS, k=8))} {i}")
        for i in range(count)
    ]


def registered(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` for one test and return it."""
    embedder = FakeEmbedder()
    monkeypatch.setattr(embedders, "_loaded", {"fake": embedder})
    entries = {**embedders.EMBEDDERS._entries, "fake": Entry("fake", "none:none", "for tests")}
    monkeypatch.setattr(embedders.EMBEDDERS, "_entries", entries)
    return embedder


def index_of(
    chunks: Iterable[Chunk],
    digest: str = "d1",
    *,
    corpus: str = "tiny",
    embedder: str = "fake",
    chunker: str = "lines/1",
) -> Index:
    return build_index(
        corpus, lambda: chunks, embedder, corpus_digest=digest, chunker_fingerprint=chunker
    )


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.id for hit in hits]


def register(embedder: FakeEmbedder) -> FakeEmbedder:
    """Register a fake embedder called ``fake``, in a process that does nothing else."""
    embedders._loaded["fake"] = embedder
    embedders.EMBEDDERS._entries["fake"] = Entry("fake", "none:none", "for tests")
    return embedder


def document(number: int, text: str, language: str = "python", license: str = "MIT") -> Document:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Document(f"pkg{number % 3}/f{number}.py", text, language, license, "here", None, sha256)


def some_documents(count: int = 60) -> list[Document]:
    dice = random.Random(11)
    return [
        document(
            i,
            "\n\n".join(
                f"def thing{i}_{j}():\n    {' '.join(dice.choices(WORDS, k=8))} n{i}x{j}"
                for j in range(i % 4)
            ),
            "python" if i % 2 else "java",
            ("MIT", "Apache-2.0 OR MIT", "GPL-3.0-only")[i % 3],
        )
        for i in range(count)
    ]


@dataclass
class BlankLines:
    """Cuts a document at its blank lines, and remembers what it was asked to cut."""

    fingerprint: str = "blank-lines/1"
    cut: list[str] = field(default_factory=list)

    def chunk(self, document: Document) -> list[Chunk]:
        self.cut.append(document.path)
        return list(_blocks(document))


def _blocks(document: Document) -> Iterator[Chunk]:
    line = 1
    for text in document.text.split("\n\n") if document.text else ():
        end = line + text.count("\n")
        yield Chunk(
            f"{document.path}:{line}-{end}",
            text,
            document.path,
            line,
            end,
            document.language,
            text.partition("(")[0].removeprefix("def "),
            document.source,
            document.license,
        )
        line = end + 2


def index_documents(
    documents: Sequence[Document],
    digest: str = "d1",
    *,
    chunker: BlankLines | None = None,
    corpus: str = "tiny",
) -> Index:
    cutter = chunker or BlankLines()
    return build_index(
        corpus,
        Cutting(lambda: documents, cutter),
        "fake",
        corpus_digest=digest,
        chunker_fingerprint=cutter.fingerprint,
    )


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
