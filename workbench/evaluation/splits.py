"""Figures by difficulty, topic or language, and what a cheap metric says of a dear one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.errors import BadInput, UnknownName
from workbench.evaluation.intervals import interval_of
from workbench.evaluation.pairs import judged, mean
from workbench.statistics import Correlation, correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.evaluation.records import Evaluation

# Levels have an order that the alphabet does not know.
_ORDER = {name: place for place, name in enumerate(("easy", "medium", "hard"))}
# A tag with more values than this names the questions rather than splitting them.
_MOST_VALUES = 30


@dataclass(frozen=True, slots=True)
class Part:
    """One metric of one solver on the questions whose ``tag`` is ``value``."""

    tag: str
    value: str
    solver: str
    metric: str
    figure: float | None
    low: float | None
    high: float | None
    questions: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a cheap metric hangs together with the one that it is to stand for.

    ``points`` are (solver, question, cheap value, true value) of each question that both judged,
    the means of its samples.
    """

    cheap: str
    truth: str
    correlations: tuple[Correlation, ...]
    points: tuple[tuple[str, str, float, float], ...] = field(repr=False)

    @property
    def sentence(self) -> str:
        """Say in words whether the cheap metric says anything."""
        first = self.correlations[0]
        if first.value is None:
            return f"{self.cheap} or {self.truth} is the same for all {first.n:,} answers."
        ends = "" if first.low is None else f" ({first.low:.2f} to {first.high:.2f})"
        strength = _strength(first)
        return (
            f"{self.cheap} says {strength} about {self.truth}: {first.kind}'s correlation is"
            f" {first.value:.2f}{ends} over {first.n:,} answers."
        )


def tags_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the tags that split the questions into two parts at least."""
    values: dict[str, set[str]] = {}
    for tags in evaluation.tags.values():
        for name, value in tags.items():
            values.setdefault(name, set()).add(value)
    return tuple(name for name, some in values.items() if 1 < len(some) <= _MOST_VALUES)


def split(evaluation: Evaluation, tag: str, metrics: Sequence[str] = ()) -> tuple[Part, ...]:
    """Return the figures of each solver for each value of a tag; metrics default to the run's.

    Raises:
        UnknownName: the run has no such metric, or its questions no such tag.
    """
    values = {tags[tag] for tags in evaluation.tags.values() if tag in tags}
    if not values:
        raise UnknownName("tag of this suite", tag, tags_of(evaluation))
    rules = [evaluation.metric(one) for one in metrics] or list(evaluation.metrics)
    parts = []
    for value in sorted(values, key=lambda one: (_ORDER.get(one.lower(), len(_ORDER)), one)):
        for name in evaluation.names:
            for rule in rules:
                scores = [
                    some
                    for question, some in judged(evaluation, name, rule.name).items()
                    if evaluation.tags.get(question, {}).get(tag) == value
                ]
                low, high = interval_of(rule, scores) or (None, None)
                figure = rule.aggregate(scores)
                parts.append(Part(tag, value, name, rule.name, figure, low, high, len(scores)))
    return tuple(parts)


def agreement(evaluation: Evaluation, cheap: str, truth: str = "pass@1") -> Agreement:
    """Correlate two metrics over the answers of all solvers; intervals are over questions.

    Raises:
        UnknownName: the run has no such metric.
        BadInput: both metrics are the same, or no answer has both.
    """
    if cheap == truth:
        raise BadInput(f"{cheap} agrees with itself.", "Name two metrics.")
    evaluation.metric(cheap), evaluation.metric(truth)
    points: list[tuple[str, str, float, float]] = []
    for name in evaluation.names:
        dear = judged(evaluation, name, truth)
        for question, scores in judged(evaluation, name, cheap).items():
            if question in dear:
                points.append((name, question, mean(scores), mean(dear[question])))
    if not points:
        raise BadInput(f"No answer has both {cheap} and {truth}.", "Score it: workbench rescore")
    found = correlation(
        [one[2] for one in points], [one[3] for one in points], groups=[one[1] for one in points]
    )
    return Agreement(cheap, truth, found, tuple(points))


def _strength(one: Correlation) -> str:
    """Return a word for a correlation; one whose interval holds zero says nothing."""
    if one.value is None or (
        one.low is not None and one.high is not None and one.low <= 0 <= one.high
    ):
        return "nothing that could be told from chance"
    size = abs(one.value)
    return "little" if size < 0.3 else "something" if size < 0.6 else "much"
