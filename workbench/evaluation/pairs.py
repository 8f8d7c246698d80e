"""Two solvers on the same questions: whether the one is better, and where the two part ways."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.metrics import figures
from workbench.statistics import LEVEL, Paired, holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.evaluation.records import Evaluation
    from workbench.types import Score


@dataclass(frozen=True, slots=True)
class Pair:
    """What the questions that both were judged on say of two solvers.

    ``paired`` holds the difference a - b with its interval and p-values, ``p_corrected`` the
    p-value among all pairs that were compared (Holm), None where this was the only one. Of the
    questions, ``only_a`` went better for a and ``only_b`` for b: the flips. ``left_out`` were
    judged for one of the two alone, or for neither. ``verdict`` marks a metric that says yes or no.
    """

    a: str
    b: str
    metric: str
    higher_is_better: bool
    paired: Paired
    only_a: tuple[str, ...] = field(repr=False)
    only_b: tuple[str, ...] = field(repr=False)
    left_out: int = 0
    verdict: bool = False
    p_corrected: float | None = None

    @property
    def p_value(self) -> float:
        """The p-value to go by: the corrected one where there is one."""
        return self.paired.p_value if self.p_corrected is None else self.p_corrected

    @property
    def decided(self) -> bool:
        """Whether the two can be told apart at the 95 % level."""
        return self.p_value <= 1 - LEVEL

    @property
    def better(self) -> str | None:
        """The better one of the two, None where they cannot be told apart."""
        if not self.decided:
            return None
        return self.a if (self.paired.difference > 0) == self.higher_is_better else self.b

    @property
    def test(self) -> str:
        """The name of the test that ``p_value`` is of."""
        name = "paired bootstrap" if self.paired.p_mcnemar is None else "McNemar's exact test"
        return name if self.p_corrected is None else f"{name}, Holm's correction"

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it would take to tell where nobody can."""
        # Shares are told in points of 100, also where samples make them no mere yes or no.
        said = self.paired.sentence(
            self.a,
            self.b,
            p_value=self.p_corrected,
            lower_is_better=not self.higher_is_better,
            scale=100.0 if self.verdict else None,
            unit="points" if self.verdict else None,
        )
        if said.startswith("cannot"):  # a name keeps its case, a word begins the sentence
            said = "C" + said[1:]
        left = f"; {self.left_out:,} questions were not judged for both" if self.left_out else ""
        return f"{said}{left}"


def compare(evaluation: Evaluation, a: str, b: str, metric: str) -> Pair:
    """Compare two solvers by a metric on the questions that both were judged on.

    See ``workbench.metrics.figures.compare``: questions are drawn, with all their samples.

    Raises:
        UnknownName: the run has no such solver or metric.
        BadInput: fewer than two questions were judged for both, or a and b are the same.
    """
    if a == b:
        raise BadInput(f"{a} cannot be compared with itself.", "Name two solvers.")
    rule, _ = evaluation.metric(metric), [evaluation.solver(name) for name in (a, b)]
    left, right = (judged(evaluation, name, metric) for name in (a, b))
    shared = [question for question in left if question in right]
    if len(shared) < 2:
        raise BadInput(
            f"{len(shared)} questions have a {metric} of both {a} and {b}.",
            "Two at least are needed: workbench evaluate goes on with what is missing.",
        )
    sides = [[side[one] for one in shared] for side in (left, right)]
    found = figures.compare(rule, *sides)
    assert found is not None, "two questions are shared"
    values = [figures.question_values(rule, side) for side in sides]
    sign = 1 if rule.higher_is_better else -1
    ahead = [sign * ((x or 0.0) - (y or 0.0)) for x, y in zip(*values, strict=True)]
    return Pair(
        a,
        b,
        metric,
        rule.higher_is_better,
        found,
        tuple(one for one, by in zip(shared, ahead, strict=True) if by > 0),
        tuple(one for one, by in zip(shared, ahead, strict=True) if by < 0),
        len(evaluation.questions) - len(shared),
        figures.is_verdict(rule),
    )


def all_pairs(evaluation: Evaluation, metric: str) -> tuple[Pair, ...]:
    """Compare each solver with each other, p-values corrected for their number (Holm).

    A pair that shares fewer than two questions is left out.

    Raises:
        UnknownName: the run has no such metric.
    """
    evaluation.metric(metric)
    return corrected(
        [
            compare(evaluation, a, b, metric)
            for a, b in itertools.combinations(evaluation.names, 2)
            if comparable(evaluation, a, b, metric)
        ]
    )


def corrected(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return pairs with p-values that are corrected for their number (Holm)."""
    if len(pairs) < 2:
        return tuple(pairs)
    found = holm([one.paired.p_value for one in pairs])
    return tuple(replace(one, p_corrected=p) for one, p in zip(pairs, found, strict=True))


def comparable(evaluation: Evaluation, a: str, b: str, metric: str) -> bool:
    """Say whether two solvers share the two questions that a comparison needs."""
    left, right = (judged(evaluation, name, metric) for name in (a, b))
    return len(left.keys() & right.keys()) >= 2


def judged(evaluation: Evaluation, solver: str, metric: str) -> dict[str, list[Score]]:
    """Return the scores that have a value, by question; questions without one are not there."""
    found = evaluation.by_question(solver, metric)
    kept = {
        one: [score for score in some if score.value is not None] for one, some in found.items()
    }
    return {one: some for one, some in kept.items() if some}


def mean(scores: Sequence[Score]) -> float:
    """Return the mean of scores that have a value."""
    return sum(score.value or 0.0 for score in scores) / len(scores)
