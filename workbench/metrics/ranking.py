"""Ranking metrics, by query: nDCG@10, MRR@10 and recall at 1, 5 and 20, through ir_measures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MissingExtra, UnknownName

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What the metrics are called here -> in ir_measures.
_MEASURES = {
    "nDCG@10": "nDCG@10",
    "MRR@10": "RR@10",
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@20": "R@20",
}
METRICS = tuple(_MEASURES)
DEFAULT_METRIC = "nDCG@10"
DEPTH = 20
"""No metric here reads further down a ranking."""


def check_metric(name: str) -> str:
    """Return ``name`` where it is one of ``METRICS``.

    Raises:
        UnknownName: it is not.
    """
    if name not in _MEASURES:
        raise UnknownName("ranking metric", name, METRICS)
    return name


def score_rankings(
    rankings: Sequence[Sequence[Hashable]], relevant: Sequence[Mapping[Any, int]]
) -> dict[str, NDArray[np.float64]]:
    """Score one ranking a query: a metric -> float64[queries], each between 0 and 1.

    A ranking lists ids, best first, each once; only their order counts, so retrievers whose
    scores tie are measured by the order in which they gave their hits. ``relevant`` maps the ids
    of a query's right answers to their gains, from 1 up; all others gain nothing. nDCG is that
    of trec_eval: gain / log2(rank + 1) over that of the best order (Jarvelin and Kekalainen,
    TOIS 2002). MRR is 1 / rank of the first right answer (Voorhees, TREC-8, 1999), 0 where it is
    not among the first ten; recall the share of the right answers found.

    Raises:
        MissingExtra: ir_measures is not installed.
        ValueError: a query has no right answer, or a ranking names an id twice.
    """
    library = _library()
    measures = {library.parse_measure(name): metric for metric, name in _MEASURES.items()}
    scores = {metric: np.zeros(len(rankings)) for metric in METRICS}
    judged: dict[str, dict[str, int]] = {}
    ranked: dict[str, dict[str, float]] = {}
    for number, (ranking, right) in enumerate(zip(rankings, relevant, strict=True)):
        judged[str(number)], ranked[str(number)] = _as_trec(ranking, right, number)
    if rankings:
        for found in library.iter_calc(list(measures), judged, ranked):
            scores[measures[found.measure]][int(found.query_id)] = found.value
    return scores


def _as_trec(
    ranking: Sequence[Hashable], right: Mapping[Any, int], number: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Return the gains and the scores of one query, under names that trec_eval cannot mistake."""
    names: dict[Hashable, str] = {id_: str(place) for place, id_ in enumerate(ranking)}
    if len(names) < len(ranking):
        raise ValueError(f"the ranking of query {number} names an id twice")
    gains = {
        names.setdefault(id_, str(len(names))): int(gain) for id_, gain in right.items() if gain > 0
    }
    if not gains:
        raise ValueError(f"query {number} has no right answer")
    # The library sorts by score, and ties in an order of its own: so places become scores.
    return gains, {names[id_]: -float(place) for place, id_ in enumerate(ranking)}


def _library() -> ModuleType:
    """Import ir_measures.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import ir_measures
    except ModuleNotFoundError as error:
        raise MissingExtra("Measuring retrieval", "lab") from error
    return ir_measures
