"""What can be said of the arms of a study, in plain sentences, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from workbench.lab.records import ArmResult, Verdict
from workbench.metrics.ranking import DEFAULT_METRIC, check_metric
from workbench.statistics import holm, paired_bootstrap

SIGNIFICANT = 0.05
NOTE = (
    "Differences are paired by query, their 95 % intervals by bootstrap, each for its pair alone;"
    " p-values are corrected for the number of comparisons (Holm). The best retriever of an"
    " embedder is chosen on the same queries, which flatters it a little."
)
_WORDS = "bm25"


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two arms to compare. Less ``weight`` stands further up in the report."""

    a: ArmResult
    b: ArmResult
    weight: int


def verdicts(results: Sequence[ArmResult], metric: str = DEFAULT_METRIC) -> tuple[Verdict, ...]:
    """Compare what a reader would: embedders, then chunkers, then each arm with bm25.

    Embedders and chunkers meet with their best arm each. The most important comes first, and of
    one kind the one with the largest difference. Arms that failed are left out.

    Raises:
        UnknownName: no metric is called so.
    """
    check_metric(metric)
    measured = [one for one in results if metric in one.means]
    pairs = [*_embedders(measured, metric), *_chunkers(measured, metric), *_against_words(measured)]
    found = []
    seen: set[frozenset[str]] = set()
    for pair in pairs:
        names = frozenset((pair.a.arm.name, pair.b.arm.name))
        if len(names) == 2 and names not in seen:
            seen.add(names)
            found.append((pair.weight, compare(pair.a, pair.b, metric)))
    found.sort(key=lambda one: (one[0], -abs(one[1].difference)))
    return _corrected([verdict for _, verdict in found])


def compare(a: ArmResult, b: ArmResult, metric: str = DEFAULT_METRIC) -> Verdict:
    """Compare two measured arms by the paired bootstrap over their queries.

    Raises:
        ValueError: they were measured on different numbers of queries.
        KeyError: one was not measured by this metric.
    """
    found = paired_bootstrap(a.scores[metric], b.scores[metric])
    verdict = Verdict(metric, a.arm.name, b.arm.name, *found, sentence="")
    return replace(verdict, sentence=_sentence(verdict))


def _embedders(measured: Iterable[ArmResult], metric: str) -> list[_Pair]:
    best: dict[str, ArmResult] = {}
    for one in _best_first(measured, metric):
        if one.arm.embedder is not None:
            best.setdefault(one.arm.embedder, one)
    return [_Pair(a, b, 0) for a, b in combinations(best.values(), 2)]


def _chunkers(measured: Iterable[ArmResult], metric: str) -> list[_Pair]:
    best: dict[str, ArmResult] = {}
    for one in _best_first(measured, metric):
        best.setdefault(one.arm.chunker, one)
    return [_Pair(a, b, 1) for a, b in combinations(best.values(), 2)]


def _against_words(measured: Sequence[ArmResult]) -> list[_Pair]:
    words = {one.arm.chunker: one for one in measured if one.arm.retriever == _WORDS}
    return [
        _Pair(one, words[one.arm.chunker], 2)
        for one in measured
        if one.arm.embedder is not None and one.arm.chunker in words
    ]


def _best_first(measured: Iterable[ArmResult], metric: str) -> list[ArmResult]:
    return sorted(measured, key=lambda one: -one.means[metric].mean)


def _corrected(found: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Correct the p-values for their number, and say where that takes a difference back."""
    p_values = holm([verdict.p_value for verdict in found])
    corrected = []
    for verdict, p_value in zip(found, p_values, strict=True):
        sentence = verdict.sentence
        if verdict.better is not None and p_value >= SIGNIFICANT:
            sentence += f"; not sure among {len(found)} comparisons (corrected p {p_value:.2f})"
        corrected.append(replace(verdict, p_value=p_value, sentence=sentence))
    return tuple(corrected)


def _sentence(verdict: Verdict) -> str:
    values = (verdict.difference, verdict.low, verdict.high)
    # Two digits, or three where two would write an end of the interval, or all of it, as zero.
    digits = 2 if all(abs(value) >= 0.005 for value in values) else 3
    difference, low, high = (f"{value:.{digits}f}" for value in values)
    if verdict.better is None:
        return (
            f"{verdict.a} is within noise of {verdict.b}"
            f" ({difference} {verdict.metric}, {low} to {high})"
        )
    if verdict.better == verdict.b:
        turned = (-verdict.difference, -verdict.high, -verdict.low)
        difference, low, high = (f"{value:.{digits}f}" for value in turned)
    worse = verdict.b if verdict.better == verdict.a else verdict.a
    return (
        f"{verdict.better} beats {worse} by {difference} {verdict.metric}"
        f" (95 % interval {low} to {high})"
    )
