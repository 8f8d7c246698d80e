"""pass@k and pass^k: whether code does what its tests ask, by a grader."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import comb
from typing import TYPE_CHECKING, Protocol

from workbench.metrics.mean import CannotJudge, Mean, library
from workbench.sandbox.assembling import assemble
from workbench.types import Answer, Example, ProgramTests, Score, Tests

if TYPE_CHECKING:
    from workbench.sandbox import Limits, Outcome


class Grades(Protocol):
    """What runs programs against tests: ``workbench.sandbox.Grader``."""

    @property
    def limits(self) -> Limits:
        """What one program may take."""

    def grade(self, code: str, tests: Tests, language: str) -> Outcome:
        """Run one program; it may be asked from several threads at once."""


def passes(*, grader: Grades, language: str | None = None) -> Mean:
    """Make the share of answers that pass their tests: 1 or 0, None where none could be run.

    ``language`` stands in for that of an example that does not name it.
    """
    judge = partial(_judge, grader, language)
    return Mean("pass@1", f"pass@1|{limited(grader)}", judge, verdict=True)


def limited(grader: Grades) -> str:
    """Write the limits under which programs run, for a signature."""
    limits = grader.limits
    return (
        f"cpu:{limits.cpu_seconds:g}s|wall:{limits.wall_seconds:g}s"
        f"|memory:{limits.memory >> 20}MiB|{library('code-workbench')}"
    )


def _judge(
    grader: Grades, language: str | None, answer: Answer, example: Example
) -> tuple[float, str]:
    asked = example.question.target_language or language or answer.language
    return graded(grader, answer.text, example, asked)


def graded(grader: Grades, text: str, example: Example, language: str | None) -> tuple[float, str]:
    """Grade what a model wrote in ``language`` as the answer to ``example``: 1 or 0, and why.

    Raises:
        CannotJudge: the example has no tests, no language is known, or they could not be run.
        WorkbenchError: the grader failed.
    """
    tests = example.reference.tests
    if tests is None:
        raise CannotJudge("no tests")
    if isinstance(tests, ProgramTests):
        language = tests.language
    if language is None:
        raise CannotJudge("no language is named")
    # Before it is assembled: the beginning that the question gave is not the model's.
    if not text.strip():
        return 0.0, "no code"
    outcome = grader.grade(assemble(text, example), tests, language)
    said = f"{outcome.verdict}: {outcome.detail}" if outcome.detail else outcome.verdict
    if outcome.passed is None:
        raise CannotJudge(said)
    return float(outcome.passed), said


# --- figures over several samples ------------------------------------------------------


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the chance that at least one of ``k`` samples is right, drawn of n with c right.

    1 - C(n - c, k) / C(n, k), the unbiased estimate of Chen et al., arXiv:2107.03374, 2021.

    Raises:
        ValueError: there are fewer than k samples, or more right ones than samples.
    """
    _check(n, c, k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return the chance that all of ``k`` samples are right, drawn of n with c right: pass^k.

    C(c, k) / C(n, k), as tau-bench measures reliability (Yao et al., arXiv:2406.12045, 2024).

    Raises:
        ValueError: there are fewer than k samples, or more right ones than samples.
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def _check(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"{c} right of {n} samples say nothing of {k}")


def chances(
    by_question: Sequence[Sequence[Score]], k: int, *, all_of_k: bool = False
) -> list[float | None]:
    """Return pass@k, or pass^k with ``all_of_k``, of each question from pass@1's scores.

    None where fewer than k of its samples were judged.
    """
    chance = pass_hat_k if all_of_k else pass_at_k
    found: list[float | None] = []
    for samples in by_question:
        verdicts = [score.value == 1 for score in samples if score.value is not None]
        enough = len(verdicts) >= k
        found.append(chance(len(verdicts), sum(verdicts), k) if enough else None)
    return found
