"""Two solvers on the same questions: whether the one is better, and where the two part ways."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import BadInput
from workbench.statistics import LEVEL, Paired, holm, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.evaluation.records import Evaluation
    from workbench.types import Metric, Score

# Of a figure that is no mean, each resample is a pass over all questions.
_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Pair:
    """What the questions that both were judged on say of two solvers.

    ``paired`` holds the difference a - b with its interval and p-values, ``p_corrected`` the
    p-value among all pairs that were compared (Holm), None where this was the only one. Of the
    questions, ``only_a`` went better for a and ``only_b`` for b: the flips. ``left_out`` were
    judged for one of the two alone, or for neither.
    """

    a: str
    b: str
    metric: str
    higher_is_better: bool
    paired: Paired
    only_a: tuple[str, ...] = field(repr=False)
    only_b: tuple[str, ...] = field(repr=False)
    left_out: int = 0
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
        said = self.paired.sentence(
            self.a, self.b, p_value=self.p_corrected, lower_is_better=not self.higher_is_better
        )
        if said.startswith("cannot"):  # a name keeps its case, a word begins the sentence
            said = "C" + said[1:]
        left = f"; {self.left_out:,} questions were not judged for both" if self.left_out else ""
        return f"{said}{left}"


def compare(evaluation: Evaluation, a: str, b: str, metric: str) -> Pair:
    """Compare two solvers by a metric on the questions that both were judged on.

    Of several samples a question, their mean counts, since questions are what is drawn. A figure
    that is no mean of its questions (BLEU of a corpus) is resampled whole, on the same questions
    for both (Koehn, EMNLP 2004).

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
    scores = [left[one] for one in shared], [right[one] for one in shared]
    values = [[mean(some) for some in side] for side in scores]
    found = _of_figures(rule, paired(*values), *scores, values)
    sign = 1 if rule.higher_is_better else -1
    ahead = [sign * (x - y) for x, y in zip(*values, strict=True)]
    return Pair(
        a,
        b,
        metric,
        rule.higher_is_better,
        found,
        tuple(one for one, by in zip(shared, ahead, strict=True) if by > 0),
        tuple(one for one, by in zip(shared, ahead, strict=True) if by < 0),
        len(evaluation.questions) - len(shared),
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


def _of_figures(
    rule: Metric,
    found: Paired,
    left: Sequence[Sequence[Score]],
    right: Sequence[Sequence[Score]],
    values: Sequence[Sequence[float]],
) -> Paired:
    """Put the metric's own figures in place of the means, where these are not the same."""
    figures = [rule.aggregate(side) for side in (left, right)]
    means = [float(np.mean(side)) for side in values]
    if None in figures or np.allclose(figures, means, rtol=1e-9, atol=1e-12):  # type: ignore[arg-type]
        return found
    a, b = (figure or 0.0 for figure in figures)
    dice = np.random.default_rng(0)
    drawn = []
    for places in dice.integers(len(left), size=(_RESAMPLES, len(left))):
        pair = (rule.aggregate([side[place] for place in places]) for side in (left, right))
        x, y = pair
        if x is not None and y is not None:
            drawn.append(x - y)
    differences = np.asarray(drawn)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(differences, (tail, 1 - tail))
    # Shifted to a mean of zero, as in ``statistics.paired_bootstrap``.
    as_far = np.abs(differences - (a - b)) >= abs(a - b) * (1 - 1e-12)
    p_value = (1 + int(as_far.sum())) / (len(differences) + 1)
    return replace(
        found,
        mean_a=a,
        mean_b=b,
        difference=a - b,
        low=float(low),
        high=float(high),
        p_bootstrap=p_value,
    )
