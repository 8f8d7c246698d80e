"""Filters are exact, and BM25 can be explained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fake_embedder import (
    FakeEmbedder,
    index_documents,
    registered,
    some_documents,
)

from workbench.errors import BadInput, UnknownName
from workbench.retrieval import RETRIEVERS, Index, Where, retrievers
from workbench.retrieval.fusion import fuse
from workbench.retrieval.retrievers import DEPTH
from workbench.retrieval.text import indexed_text
from workbench.types import Chunk

FILTERS = [
    Where(languages=("python",)),
    Where(languages=("Python", "java"), paths=("pkg0/*",)),
    Where(licenses=("mit",)),
    Where(licenses=("GPL-3.0-only",), languages=("java",)),
    Where(licenses=("Apache-2.0 OR MIT",)),
    Where(paths=("*/f7.py", "pkg2/f1?.py")),
    Where(paths=("pkg0/f5*",)),
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Register a fake embedder called ``fake`` and return it."""
    return registered(monkeypatch)


def passes(chunk: Chunk, where: Where) -> bool:
    return where.allows(chunk.language, chunk.license, chunk.path)


@pytest.fixture
def index(fake: FakeEmbedder) -> Index:
    return index_documents(some_documents())


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_a_filter_gives_the_best_of_what_it_allows(index: Index, where: Where) -> None:
    allowed = [chunk for chunk in index if passes(chunk, where)]
    assert 0 < len(allowed) < len(index)
    for mode, query in itertools.product(("bm25", "dense"), ("merge list", "socket heap json")):
        every = index.search(query, len(index), mode)
        expected = [(hit.chunk, hit.score) for hit in every if passes(hit.chunk, where)]
        for k in (1, 4, len(index)):
            hits = index.search(query, k, mode, where)
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
            assert [hit.chunk for hit in hits] == [chunk for chunk, _ in expected[:k]]
            scores = [score for _, score in expected[:k]]
            assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-6)


def test_hybrid_fuses_what_is_allowed(index: Index) -> None:
    where = FILTERS[0]
    both = [index.search("read file", DEPTH, mode, where) for mode in ("bm25", "dense")]
    assert index.search("read file", 5, "hybrid", where) == fuse(both, 5)


def test_few_and_most_allowed_chunks_are_compared_alike(index: Index, fake: FakeEmbedder) -> None:
    for share in (0.2, 0.9):
        allowed = np.random.default_rng(3).random(len(index)) < share
        exact = retrievers.ExactDenseRetriever(index._chunks, index.vectors(), fake, allowed)
        places = [index.ids().index(hit.chunk.id) for hit in exact.search("merge list", 30)]
        cosines = np.asarray(index.vectors() @ fake.encode(["merge list"], "query")[0])
        cosines[~allowed] = -2
        assert places == np.argsort(-cosines, kind="stable")[: min(30, allowed.sum())].tolist()


@pytest.mark.parametrize("mode", RETRIEVERS)
def test_an_empty_filter_is_none(index: Index, mode: str) -> None:
    assert index.search("merge", 5, mode, Where()) == index.search("merge", 5, mode)


def test_a_language_or_licence_that_no_chunk_has_is_refused(index: Index) -> None:
    with pytest.raises(UnknownName, match="Did you mean python"):
        index.search("sort", 5, "bm25", Where(languages=("pyhton",)))
    with pytest.raises(UnknownName, match="licence"):
        index.search("sort", 5, "dense", Where(licenses=("unknown",)))
    assert index.search("sort", 5, "dense", Where(paths=("nowhere/*",))) == []
    assert index.search("sort", 5, "bm25", Where(paths=("nowhere/*",))) == []


@pytest.mark.parametrize(
    ("license", "name", "allowed"),
    [
        ("MIT", "mit", True),
        ("MIT OR Apache-2.0", "MIT", True),
        ("MIT AND Apache-2.0", "MIT", False),
        ("(MIT OR ISC) AND GPL-2.0-only", "MIT", False),
        ("MIT AND Apache-2.0", "mit and apache-2.0", True),
        (None, "unknown", True),
        ("MIT", "unknown", False),
        (None, "MIT", False),
    ],
)
def test_a_choice_of_licences_passes_by_each(license: str | None, name: str, allowed: bool) -> None:
    assert Where(licenses=(name,)).allows("python", license, "a.py") is allowed


def test_patterns_cross_slashes_and_know_capitals() -> None:
    assert Where(paths=("json/*",)).allows(None, None, "json/tool/main.py")
    assert not Where(paths=("json/*",)).allows(None, None, "JSON/tool.py")
    assert Where(languages=("other",)).allows(None, None, "x")


@pytest.mark.parametrize("query", ["merge list", "json json file", "heap unheard", "thing"])
def test_the_words_of_an_explanation_sum_to_the_score(index: Index, query: str) -> None:
    scores = {hit.chunk.id: hit.score for hit in index.search(query, len(index), "bm25")}
    for chunk in index:
        words = index.explain(query, chunk.id)
        assert sum(words.values()) == pytest.approx(scores.get(chunk.id, 0.0), rel=1e-5)
        assert set(words) <= set(query.split())
        assert all(word in indexed_text(chunk) for word in words)


def test_chunks_and_vectors_are_handed_out_in_order(index: Index, fake: FakeEmbedder) -> None:
    chunks = list(index)
    assert index.chunks([chunks[9].id, chunks[2].id]) == [chunks[9], chunks[2]]
    expected = fake.encode([indexed_text(chunk) for chunk in chunks], "document")
    assert index.vectors().dtype == np.float32
    assert np.array_equal(index.vectors(), expected)
    for call in (lambda: index.chunks(["nobody"]), lambda: index.explain("sort", "nobody")):
        with pytest.raises(BadInput, match="'nobody'"):
            call()


def test_langchain_gets_the_same_hits(index: Index) -> None:
    where = FILTERS[0]
    pages = index.as_retriever(k=3, mode="bm25", where=where).invoke("merge list")
    hits = index.search("merge list", 3, "bm25", where)
    assert [page.id for page in pages] == [hit.chunk.id for hit in hits]
