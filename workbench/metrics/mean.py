"""Metrics that judge each answer by itself and whose figure is the mean over questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean

from workbench.types import Answer, Example, Score

# A value, and a word on it.
Judge = Callable[[Answer, Example], tuple[float, str]]


class CannotJudge(Exception):
    """There is nothing to judge by; the message is a word on what is missing."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A metric of one function. The values of a ``verdict`` are 1 and 0, for yes and no.

    Where that function raises CannotJudge, as the example or the answer lacks what it takes, there
    is no value. Any other error is raised: it says nothing of the answer, which may be judged
    another time.
    """

    name: str
    signature: str
    judge: Judge
    higher_is_better: bool = True
    verdict: bool = False

    def score(self, answer: Answer, example: Example) -> Score:
        """Judge one answer.

        Raises:
            WorkbenchError: what the metric works with failed (a grader, a backend).
        """
        try:
            value, detail = self.judge(answer, example)
        except CannotJudge as error:
            return Score(self.name, None, str(error))
        return Score(self.name, value, detail)

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the mean over questions of the mean over each one's samples."""
        means = [mean for samples in by_question if (mean := mean_value(samples)) is not None]
        return fmean(means) if means else None


def mean_value(samples: Sequence[Score]) -> float | None:
    """Return the mean of the values that there are, None without any."""
    values = [score.value for score in samples if score.value is not None]
    return fmean(values) if values else None


def reference_texts(example: Example, count: int | None = None) -> tuple[str, ...]:
    """Return the first ``count`` reference texts, or all of them.

    Raises:
        CannotJudge: there are not so many, or none that says anything.
    """
    texts = example.reference.texts[:count]
    if not any(text.strip() for text in texts):
        raise CannotJudge("no reference")
    if count is not None and len(texts) < count:
        raise CannotJudge(f"{len(texts)} references, where {count} are wanted")
    return texts


def nrefs(count: int | None) -> str:
    """Write how many references an answer is held against, as sacreBLEU's signatures do."""
    return f"nrefs:{'var' if count is None else count}"


def library(package: str) -> str:
    """Write the package that a figure comes from, as it stands at the end of a signature."""
    try:
        return f"lib:{package}|version:{version(package)}"
    except PackageNotFoundError:  # run from its folder, not installed
        return f"lib:{package}|version:unknown"
