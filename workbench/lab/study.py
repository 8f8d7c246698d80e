"""Measure embedders, chunkers and retrievers side by side on one suite, arm by arm."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.durable import replace_durably
from workbench.errors import BadInput, InUse, UnknownName, WorkbenchError
from workbench.lab.records import Arm, ArmResult, Cost, Interval
from workbench.lab.report import RetrievalReport
from workbench.lab.searching import (
    Indexes,
    Units,
    answers,
    chunker_called,
    chunker_fingerprint,
    usual_chunker,
)
from workbench.lab.verdicts import verdicts
from workbench.locks import exclusive
from workbench.machine import environment
from workbench.metrics.ranking import DEFAULT_METRIC, METRICS, check_metric, score_rankings
from workbench.progress import bar
from workbench.retrieval import (
    DEFAULT_EMBEDDER,
    RETRIEVERS,
    canonical_name,
    check_retriever,
    load_embedder,
)
from workbench.retrieval.text import TEXT_VERSION, indexed_text
from workbench.settings import settings
from workbench.statistics import bootstrap_mean

if TYPE_CHECKING:
    from workbench.retrieval import Index
    from workbench.suites.records import Query, RetrievalSuite
    from workbench.types import Retriever

MEASURED_BY = "study/1"
"""Stands in the key of every finished arm: change it when how an arm is measured changes."""
DEPTH = 100
"""Hits read for a query. Several may lead to one unit, and recall@20 wants twenty units."""
TIMED_HITS = 10
TIMED_QUERIES = 100
"""Times are of searches for ten hits, as a person searches, over at most so many queries."""

_NO_EMBEDDER = ("bm25",)
# Share of a build's texts that it embedded itself. Two chunkers have some chunks in common, which
# the second finds in the cache: that spoils the time of its build sooner than its rate.
_NEARLY_ALL = 0.95
_MOST = 0.5
_PACKAGES = (
    *("bm25s", "chromadb", "ir-measures", "model2vec", "numpy", "onnxruntime"),
    *("sentence-transformers", "torch", "tree-sitter"),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a study measures: the queries, in their order, and how far hits are read."""

    suite: RetrievalSuite
    split: str
    queries: tuple[Query, ...]
    units: Units
    depth: int


def study(
    suite: RetrievalSuite,
    embedders: Sequence[str] = (DEFAULT_EMBEDDER,),
    chunkers: Sequence[str] = (),
    retrievers: Sequence[str] = RETRIEVERS,
    *,
    split: str | None = None,
    limit: int | None = None,
    depth: int = DEPTH,
    metric: str = DEFAULT_METRIC,
) -> Iterator[RetrievalReport]:
    """Measure every embedder with every chunker and retriever; yield the report after each arm.

    A retriever that needs no embedder is measured once for each chunker. Without ``chunkers``, a
    suite of whole documents is not cut ("whole") and others by syntax. ``limit`` takes so many
    queries, evenly spread. ``metric`` is what the report sorts by and gives its verdicts on; all
    are measured. The last report is the whole one, with its verdicts.

    An arm that fails, as where a model cannot be had, carries its error, and the others go on. A
    finished arm is kept: the same call again measures only what is missing, and what changed in
    suite, model, chunker or version is measured anew. Times are those of the first measurement.

    Raises:
        UnknownName: no embedder, chunker, retriever, split or metric is called so.
        BadInput: there is nothing to measure: fewer than two queries, or no retriever.
        MissingExtra: ir_measures is not installed.
    """
    check_metric(metric)
    plan = _plan(suite, split, limit, depth)
    arms = arms_of(suite, embedders, chunkers, retrievers)
    carriers = tuple(dict.fromkeys(map(canonical_name, embedders)))
    score_rankings([], [])  # a missing package is told before anything is built
    return _reports(plan, arms, carriers, metric)


def _reports(
    plan: _Plan, arms: Sequence[Arm], carriers: Sequence[str], metric: str
) -> Iterator[RetrievalReport]:
    report = RetrievalReport(
        suite=plan.suite.name,
        split=plan.split,
        digest=plan.suite.digest,
        note=plan.suite.note,
        metric=metric,
        query_ids=tuple(query.id for query in plan.queries),
        results=(),
        verdicts=(),
        environment={**environment(), "load_average": _load()},
    )
    indexes = Indexes(plan.suite)
    with bar(total=len(arms), desc=f"Measuring {plan.suite.name}", unit=" arms") as progress:
        for arm in arms:
            result = _result(plan, arm, indexes, carriers)
            report = replace(report, results=(*report.results, result))
            progress.update(1)
            yield report
    yield replace(report, verdicts=verdicts(report.results, metric))


def _plan(suite: RetrievalSuite, split: str | None, limit: int | None, depth: int) -> _Plan:
    chosen = suite.default_split if split is None else split
    if chosen not in suite.queries:
        raise UnknownName(f"split of {suite.name}", chosen, suite.queries)
    if depth < 1:
        raise BadInput(f"The depth is {depth}.", "Read at least one hit: --depth 100")
    queries = suite.queries[chosen]
    if limit is not None and limit < len(queries):
        places = np.linspace(0, len(queries) - 1, max(limit, 0)).round().astype(int)
        queries = tuple(queries[place] for place in places)
    if len(queries) < 2:
        raise BadInput(
            f"{len(queries)} queries of {suite.name} {chosen} are too few to measure by.",
            "Take another split, or a higher limit.",
        )
    return _Plan(suite, chosen, queries, Units(suite), depth)


def arms_of(
    suite: RetrievalSuite,
    embedders: Sequence[str] = (DEFAULT_EMBEDDER,),
    chunkers: Sequence[str] = (),
    retrievers: Sequence[str] = RETRIEVERS,
) -> tuple[Arm, ...]:
    """Return the arms that ``study`` measures, in its order.

    Raises:
        UnknownName: no embedder, chunker or retriever is called so.
        BadInput: there is none.
    """
    cutters = tuple(dict.fromkeys(chunkers)) or (usual_chunker(suite),)
    for name in cutters:
        chunker_called(name)  # a wrong name is told before anything is measured
    ways = tuple(dict.fromkeys(retrievers))
    parts = {name: check_retriever(name)[0] for name in ways}
    alone = [name for name in ways if parts[name] in _NO_EMBEDDER]
    several = len(cutters) > 1
    arms: list[Arm] = []
    for chunker in cutters:
        arms += [Arm(name, None, chunker, several) for name in alone]
        arms += [
            Arm(name, embedder, chunker, several)
            for embedder in dict.fromkeys(map(canonical_name, embedders))
            for name in ways
            if name not in alone
        ]
    if not arms:
        raise BadInput(
            "There is nothing to measure.", "Name a retriever, and an embedder unless it is bm25."
        )
    return tuple(arms)


# --- one arm ---------------------------------------------------------------------------


def _result(plan: _Plan, arm: Arm, indexes: Indexes, carriers: Sequence[str]) -> ArmResult:
    """Return what was measured before, or measure it now; whatever goes wrong is its error."""
    try:
        kept = _kept_at(plan, arm)
        found = _read(kept, arm, len(plan.queries))
        if found is None:
            found = _measure(plan, arm, indexes.of(arm, carriers))
            with contextlib.suppress(OSError, InUse):  # what cannot be kept is still a result
                _keep(kept, found)
        return found
    except WorkbenchError as error:
        return ArmResult(arm, error=str(error))
    except Exception as error:  # a model of somebody else's may raise anything
        first = str(error).strip().splitlines()
        return ArmResult(arm, error=f"{type(error).__name__}: {first[0] if first else ''}")


def _measure(plan: _Plan, arm: Arm, index: Index) -> ArmResult:
    retriever = index.retriever(arm.retriever)
    median, p95 = _milliseconds(retriever, plan.queries)
    rankings = [
        plan.units.ranking(retriever.search(query.text, plan.depth), query)
        for query in bar(plan.queries, desc=arm.name, unit=" queries")
    ]
    scores = score_rankings(rankings, [answers(query) for query in plan.queries])
    return ArmResult(arm, scores, _intervals(scores), _cost(arm, index, median, p95))


def _milliseconds(retriever: Retriever, queries: Sequence[Query]) -> tuple[float, float]:
    """Return median and 95th percentile of one search, after one that opens what it needs."""
    retriever.search(queries[0].text, TIMED_HITS)
    places = np.linspace(0, len(queries) - 1, min(len(queries), TIMED_QUERIES))
    times = []
    for place in places.round().astype(int):
        start = time.perf_counter()
        retriever.search(queries[place].text, TIMED_HITS)
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times)), float(np.percentile(times, 95))


def _intervals(scores: dict[str, np.ndarray[Any, np.dtype[np.float64]]]) -> dict[str, Interval]:
    return {metric: Interval(*bootstrap_mean(values)) for metric, values in scores.items()}


def _cost(arm: Arm, index: Index, median: float, p95: float) -> Cost:
    """Read what the index cost off its build; times of a build that found vectors say nothing."""
    info = index.info
    seconds = info.seconds
    if arm.embedder is None:
        build = seconds.get("chunk", 0.0) + seconds.get("bm25", 0.0)
        return Cost(info.chunks, build, None, 0.0, median, p95)
    share = info.encoded / len({indexed_text(chunk) for chunk in index})
    embedding = seconds.get("embed", 0.0)
    return Cost(
        chunks=info.chunks,
        build_seconds=seconds.get("total") if share >= _NEARLY_ALL else None,
        texts_per_second=info.encoded / embedding if share >= _MOST and embedding else None,
        vector_megabytes=info.chunks * info.dimensions * 4 / 1e6,
        query_median=median,
        query_p95=p95,
    )


def _load() -> float | None:
    """Return the load average of the last minute, where the system has one."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


# --- finished arms on disk -------------------------------------------------------------


def _kept_at(plan: _Plan, arm: Arm) -> Path:
    """Return the file of an arm, named by everything that decides what is measured."""
    key = {
        "by": MEASURED_BY,
        "suite": plan.suite.digest,
        "split": plan.split,
        "queries": [query.id for query in plan.queries],
        "depth": plan.depth,
        "retriever": arm.retriever,
        "embedder": load_embedder(arm.embedder).fingerprint if arm.embedder else None,
        "chunker": chunker_fingerprint(plan.suite, chunker_called(arm.chunker)),
        "text": TEXT_VERSION,
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return settings().home / "studies" / plan.suite.digest[:16] / f"{digest[:32]}.json"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(path: Path, arm: Arm, queries: int) -> ArmResult | None:
    """Return a finished arm; one that cannot be read is measured again."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        scores = {name: np.array(values, dtype=float) for name, values in table["scores"].items()}
        if set(scores) != set(METRICS) or any(len(one) != queries for one in scores.values()):
            return None
        return ArmResult(arm, scores, _intervals(scores), Cost(**table["cost"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(path: Path, result: ArmResult) -> None:
    assert result.cost is not None, "an arm that was measured has its cost"
    table = {
        "arm": asdict(result.arm),
        "scores": {name: values.tolist() for name, values in result.scores.items()},
        "cost": asdict(result.cost),
    }
    with exclusive(path.parent, "A study of this suite is being written", wait=2.0):
        replace_durably(path, json.dumps(table))
