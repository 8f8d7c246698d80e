"""Where the chunks that help stood among the hits of an answer's prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from workbench.metrics import ranking
from workbench.metrics.mean import CannotJudge, Mean, library
from workbench.types import Answer, Example, Hit


def retrieved(*, measure: str = "MRR@10") -> Mean:
    """Make a ranking metric (see ``ranking``) of the hits that stood in the prompt.

    Raises:
        UnknownName: there is no such measure.
        MissingExtra: ir_measures is not installed.
    """
    ranking.check_metric(measure)
    signature = f"retrieved|figure:{measure}|{library('ir-measures')}"
    ranking.score_rankings([], [])  # says now, and not in the middle of a run, what is missing
    return Mean("retrieved", signature, partial(_judge, measure))


def _judge(measure: str, answer: Answer, example: Example) -> tuple[float, str]:
    relevant = {id_: gain for id_, gain in example.reference.relevant.items() if gain > 0}
    if not answer.hits:
        raise CannotJudge("no hits")
    if not relevant:
        raise CannotJudge("nothing is known to help")
    ranked = _ids(sorted(answer.hits, key=lambda hit: hit.rank), relevant)
    value = float(ranking.score_rankings([ranked], [relevant])[measure][0])
    ranks = [str(rank) for rank, id_ in enumerate(ranked, 1) if id_ in relevant]
    found = f"found at {', '.join(ranks)}" if ranks else "none found"
    return value, f"{found} of {len(ranked)} hits; {len(ranks)} of {len(relevant)} that help"


def _ids(hits: Sequence[Hit], relevant: Mapping[str, int]) -> list[str]:
    """Name each hit as the key does, by id or by symbol; a symbol counts where it comes first."""
    names: list[str] = []
    for hit in hits:
        chunk = hit.chunk
        name, symbol = chunk.id, chunk.symbol
        if name not in relevant and symbol in relevant and symbol not in names:
            name = symbol or name
        if name not in names:
            names.append(name)
    return names
