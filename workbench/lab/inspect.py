"""One query under every arm: what it found, where the right answer ranked, and what misled it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.corpus.windows import Lines
from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.lab.inspection import Found, Inspection
from workbench.lab.records import Arm
from workbench.lab.searching import Indexes, Units
from workbench.retrieval import load_embedder
from workbench.retrieval.text import cut_query
from workbench.suites.records import Query

if TYPE_CHECKING:
    from workbench.retrieval import Index
    from workbench.suites.records import RetrievalSuite
    from workbench.types import Chunk, Hit

DEPTH = 1000
SHOWN = 10
"""Hits that are kept of those searched."""
# A long query left out word by word is encoded as often as it has words.
_WORDS = 40

# Returns what each word of a query adds to the score of each of two chunks.
Summands = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The query, and the chunks that answer it where the suite knows."""

    query: Query
    units: Units
    is_judged: bool


def inspect_query(
    suite: RetrievalSuite,
    query: str,
    arms: Iterable[Arm],
    *,
    split: str | None = None,
    depth: int = DEPTH,
) -> Inspection:
    """Search one query by every arm. ``query`` is the id of one in the suite, or a free text.

    Ids are looked up in ``split``, or else in all, the split to report first. An arm that fails
    carries its error. ``study.arms_of`` makes the arms, and so does a report.

    Raises:
        UnknownName: the suite has no such split.
        BadInput: the query is empty, or the depth below 1.
    """
    if depth < 1:
        raise BadInput(f"The depth is {depth}.", "Read at least one hit.")
    found = _query_of(suite, query.strip(), split)
    asked = _Asked(found or Query("", cut_query(query), {}), Units(suite), found is not None)
    indexes = Indexes(suite)
    listed = tuple(arms)
    carriers = tuple(dict.fromkeys(arm.embedder for arm in listed if arm.embedder))
    return Inspection(
        query_id=found.id if found else None,
        query=asked.query.text,
        answers=_answers(suite, asked.query),
        found=tuple(_found(asked, arm, indexes, carriers, depth) for arm in listed),
    )


def _query_of(suite: RetrievalSuite, wanted: str, split: str | None) -> Query | None:
    if split is not None and split not in suite.queries:
        raise UnknownName(f"split of {suite.name}", split, suite.queries)
    everywhere = sorted(suite.queries, key=lambda one: one != suite.default_split)
    asked = (query for one in ([split] if split else everywhere) for query in suite.queries[one])
    return next((query for query in asked if query.id == wanted), None)


def _answers(suite: RetrievalSuite, query: Query) -> dict[str, str]:
    """Return the text of each right unit, best gain first."""
    documents = {document.path: document for document in suite.documents}
    texts: dict[str, str] = {}
    for unit in suite.units:
        if query.relevant.get(unit.id, 0) > 0 and unit.id not in texts:
            rows = Lines(documents[unit.path]).texts[unit.start_line - 1 : unit.end_line]
            texts[unit.id] = "\n".join(rows)
    return dict(sorted(texts.items(), key=lambda item: -query.relevant[item[0]]))


def _found(asked: _Asked, arm: Arm, indexes: Indexes, carriers: Sequence[str], depth: int) -> Found:
    try:
        index = indexes.of(arm, carriers)
        hits = index.retriever(arm.retriever).search(asked.query.text, depth)
        right = [asked.units.is_right(hit.chunk, asked.query) for hit in hits]
        rank = right.index(True) + 1 if True in right else None
        return Found(
            arm=arm,
            hits=tuple(replace(hit, chunk=asked.units.located(hit.chunk)) for hit in hits[:SHOWN]),
            right=tuple(right[:SHOWN]),
            rank=rank,
            depth=depth,
            words=_misleading(asked, arm, index, hits, rank),
        )
    except WorkbenchError as error:
        return Found(arm, (), (), None, depth, error=str(error))
    except Exception as error:  # a model of somebody else's may raise anything
        return Found(arm, (), (), None, depth, error=f"{type(error).__name__}: {error}")


def _misleading(
    asked: _Asked, arm: Arm, index: Index, hits: Sequence[Hit], rank: int | None
) -> tuple[tuple[str, float, float], ...]:
    """Compare the first hit, where it is wrong, with the first right one, word by word."""
    explain = _EXPLAIN.get(arm.retriever)
    if explain is None or not asked.is_judged or not hits or rank == 1:
        return ()
    right = hits[rank - 1].chunk if rank else _right_chunk(asked, index)
    if right is None:
        return ()
    summands = explain(index, asked.query.text, hits[0].chunk, right)
    rows = [(word, wrong, good) for word, (wrong, good) in summands.items() if wrong or good]
    return tuple(sorted(rows, key=lambda row: -abs(row[1] - row[2])))


def _right_chunk(asked: _Asked, index: Index) -> Chunk | None:
    """Return the first chunk that answers, for a query whose hits do not."""
    return next((chunk for chunk in index if asked.units.is_right(chunk, asked.query)), None)


def _bm25_summands(index: Index, query: str, wrong: Chunk, right: Chunk) -> Summands:
    """Return BM25's own summands: its score is a sum over the query's words."""
    of_wrong, of_right = index.explain(query, wrong.id), index.explain(query, right.id)
    return {
        word: (of_wrong.get(word, 0.0), of_right.get(word, 0.0))
        for word in dict.fromkeys((*of_wrong, *of_right))
    }


def _dense_summands(index: Index, query: str, wrong: Chunk, right: Chunk) -> Summands:
    """Return how much each cosine falls when a word is left out; below 0 where it rises."""
    words = cut_query(query).split()[:_WORDS]
    if len(words) < 2:
        return {}
    without = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    queries = load_embedder(index.info.embedder).encode([" ".join(words), *without], "query")
    ids = index.ids()
    chunks = index.vectors()[[ids.index(wrong.id), ids.index(right.id)]]
    cosines = queries @ chunks.T
    summands: dict[str, tuple[float, float]] = {}
    for word, (of_wrong, of_right) in zip(words, cosines[0] - cosines[1:], strict=True):
        before = summands.get(word, (0.0, 0.0))
        summands[word] = (before[0] + float(of_wrong), before[1] + float(of_right))
    return summands


# What a fused or reranked score owes to a word, nobody can say: its parts are ranks, or a model's.
_EXPLAIN: Mapping[str, Callable[[Index, str, Chunk, Chunk], Summands]] = {
    "bm25": _bm25_summands,
    "dense": _dense_summands,
}
