"""The figures of a suite with their intervals, and two solvers side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

import numpy as np

from workbench.metrics.execution import chances
from workbench.statistics import (
    LEVEL,
    RESAMPLES,
    Paired,
    bootstrap_mean,
    cluster_bootstrap,
    paired,
    paired_cluster_bootstrap,
    wilson,
)
from workbench.types import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.types import Metric

    ByQuestion = Sequence[Sequence[Score]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a suite.

    ``interval`` says how its ends were found: "Wilson", "bootstrap", or "" where there are none
    (of fewer than two questions). ``questions`` are those that it is of; the ``excluded`` had no
    judged sample, or fewer than k. ``unjudged`` samples have no value, out of ``samples``.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    level: float
    interval: str
    questions: int
    excluded: int
    samples: int
    unjudged: int


def figure(
    metric: Metric,
    by_question: ByQuestion,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Figure:
    """Return a metric's figure of a suite from the scores of each question's samples.

    Verdicts that agree within each question are a share of questions and get Wilson's interval;
    anything else gets the bootstrap's, over questions. Where scores carry statistics that add up
    (BLEU), the figure of each resample is computed from their sum.
    """
    if not adds_up(by_question):
        values = question_values(metric, by_question)
        return _mean_figure(
            metric.name, values, by_question, is_verdict(metric), level, resamples, seed
        )
    sums = _sums(by_question)
    value = metric.aggregate(by_question)
    ends: tuple[float | None, float | None] = (None, None)
    if len(sums) > 1:
        ends = cluster_bootstrap(sums, _From(metric), resamples=resamples, level=level, seed=seed)[
            1:
        ]
    return _counted(metric.name, (value, *ends), "bootstrap", len(sums), by_question, level)


def pass_figure(
    by_question: ByQuestion,
    k: int,
    *,
    all_of_k: bool = False,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Figure:
    """Return pass@k, or pass^k with ``all_of_k``, from the scores of pass@1.

    The mean over the questions with at least k judged samples; the others are excluded.
    """
    name = f"pass{'^' if all_of_k else '@'}{k}"
    values = chances(by_question, k, all_of_k=all_of_k)
    return _mean_figure(name, values, by_question, True, level, resamples, seed)


def compare(
    metric: Metric,
    a: ByQuestion,
    b: ByQuestion,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Paired | None:
    """Compare two solvers on the questions that were judged for both; None for fewer than two.

    ``a`` and ``b`` list the same questions in the same order. Of a metric whose figure is no mean
    (BLEU) the difference is that of the figures, and who is ahead goes by each question's own;
    the ``sd`` is the one of which the interval would be, were the figure a mean.

    Raises:
        ValueError: the two differ in length.
    """
    both = [
        (one, other) for one, other in zip(a, b, strict=True) if _judged(one) and _judged(other)
    ]
    if len(both) < 2:
        return None
    a, b = [one for one, _ in both], [other for _, other in both]
    left, right = _known(question_values(metric, a)), _known(question_values(metric, b))
    if not adds_up(a):
        return paired(left, right, level=level, resamples=resamples, seed=seed)
    difference, low, high, p_value = paired_cluster_bootstrap(
        _sums(a), _sums(b), _From(metric), level=level, resamples=resamples, seed=seed
    )
    error = (high - low) / 2 / NormalDist().inv_cdf((1 + level) / 2)
    return Paired(
        n=len(both),
        mean_a=_From(metric)(_sums(a).sum(axis=0)),
        mean_b=_From(metric)(_sums(b).sum(axis=0)),
        difference=difference,
        low=low,
        high=high,
        p_bootstrap=p_value,
        p_mcnemar=None,
        only_a=sum(one > other for one, other in zip(left, right, strict=True)),
        only_b=sum(one < other for one, other in zip(left, right, strict=True)),
        sd=error * math.sqrt(len(both)),
        level=level,
    )


def question_values(metric: Metric, by_question: ByQuestion) -> list[float | None]:
    """Return the figure of each question by itself, None where nothing was judged."""
    return [metric.aggregate([samples]) for samples in by_question]


def adds_up(by_question: ByQuestion) -> bool:
    """Whether the figure is computed from sums of statistics, and is no mean of values."""
    return any(score.statistics for samples in by_question for score in _judged(samples))


def is_verdict(metric: Metric) -> bool:
    """Whether all values of a metric are 0 or 1, for no and yes."""
    return bool(getattr(metric, "verdict", False))


@dataclass(frozen=True, slots=True)
class _From:
    """Computes a metric's figure from a sum of statistics, as if it were of one answer."""

    metric: Metric

    def __call__(self, total: NDArray[np.float64]) -> float:
        one = Score(self.metric.name, 0.0, statistics=tuple(total.tolist()))
        value = self.metric.aggregate([[one]])
        return math.nan if value is None else value


def _mean_figure(
    name: str,
    values: Sequence[float | None],
    by_question: ByQuestion,
    verdict: bool,
    level: float,
    resamples: int,
    seed: int,
) -> Figure:
    known = _known(values)
    found: tuple[float | None, float | None, float | None] = (None, None, None)
    interval = ""
    if verdict and known and set(known) <= {0.0, 1.0}:
        interval = "Wilson"
        found = (fmean(known), *wilson(int(sum(known)), len(known), level))
    elif len(known) > 1:
        interval = "bootstrap"
        found = bootstrap_mean(known, resamples=resamples, level=level, seed=seed)
    elif known:
        found = (known[0], None, None)
    return _counted(name, found, interval, len(known), by_question, level)


def _counted(
    name: str,
    found: tuple[float | None, float | None, float | None],
    interval: str,
    questions: int,
    by_question: ByQuestion,
    level: float,
) -> Figure:
    value, low, high = found
    samples = sum(len(samples) for samples in by_question)
    return Figure(
        name,
        value,
        low,
        high,
        level,
        interval if low is not None else "",
        questions,
        len(by_question) - questions,
        samples,
        samples - sum(len(_judged(samples)) for samples in by_question),
    )


def _sums(by_question: ByQuestion) -> NDArray[np.float64]:
    """Return float64[judged questions, s]: the sum of the statistics of each one's samples."""
    return np.asarray(
        [
            np.sum([score.statistics for score in judged], axis=0)
            for samples in by_question
            if (judged := _judged(samples))
        ],
        dtype=np.float64,
    )


def _judged(samples: Sequence[Score]) -> list[Score]:
    return [score for score in samples if score.value is not None]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
