"""Whether a suite is right before anybody is judged by it: do its own solutions pass?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from workbench.metrics.execution import Grades
from workbench.progress import bar
from workbench.sandbox import UNJUDGED, Outcome, Verdict
from workbench.sandbox.assembling import assemble
from workbench.suites.problems import Suite
from workbench.types import Example, ProgramTests

MIN_WORDS = 3
"""A summary of fewer words may stand in code by chance."""

REMARKS = frozenset({"same question under several ids"})
"""What is worth knowing of a suite, and makes none of its verdicts wrong."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A reference solution that does not pass, or could not be judged."""

    id: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the suite itself, and the ids that it is true of, in their order."""

    what: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    ``solutions`` counts what was run: an example may have several. ``failures`` are those that do
    not pass, ``unjudged`` those that the sandbox could not run, or for which no toolchain is here.
    ``findings`` go by the examples alone.
    """

    suite: str
    digest: str
    examples: int
    solutions: int
    failures: tuple[Failure, ...]
    unjudged: tuple[Failure, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> int:
        """How many solutions pass."""
        return self.solutions - len(self.failures) - len(self.unjudged)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found that makes a verdict wrong."""
        return not self.failures and all(one.what in REMARKS for one in self.findings)


def check_suite(suite: Suite, grader: Grades | None = None) -> CheckReport:
    """Grade every reference solution of a suite, and look for what is wrong with its examples.

    Without a grader nothing is run. The bar is that of ``workbench.progress``.

    Raises:
        WorkbenchError: the grader failed.
        Cancelled: nobody waits for it any more.
    """
    jobs = list(solutions(suite.examples)) if grader is not None else []
    outcomes = _grade(suite.name, grader, jobs) if grader is not None else []
    missed = [
        Failure(example.question.id, outcome.verdict, outcome.detail)
        for (example, _), outcome in zip(jobs, outcomes, strict=True)
        if outcome.passed is not True
    ]
    return CheckReport(
        suite=suite.name,
        digest=suite.digest,
        examples=len(suite.examples),
        solutions=len(jobs),
        failures=tuple(one for one in missed if one.verdict not in UNJUDGED),
        unjudged=tuple(one for one in missed if one.verdict in UNJUDGED),
        findings=tuple(find(suite)),
    )


def solutions(examples: Iterable[Example]) -> Iterator[tuple[Example, str]]:
    """Yield each example that has tests with each of its solutions; a summary is none."""
    for example in examples:
        if example.reference.tests is not None and example.question.task != "summarize":
            for text in example.reference.texts:
                yield example, text


def _grade(name: str, grader: Grades, jobs: Sequence[tuple[Example, str]]) -> list[Outcome]:
    """Return the outcomes in the order of the jobs."""

    def grade(example: Example, text: str) -> Outcome:
        tests = example.reference.tests
        assert tests is not None, "only examples with tests are graded"
        language = tests.language if isinstance(tests, ProgramTests) else None
        language = language or example.question.target_language or "python"
        return grader.grade(assemble(text, example), tests, language)

    with ThreadPoolExecutor(max_workers=getattr(grader, "workers", 1)) as pool:
        futures = [pool.submit(grade, *job) for job in jobs]
        try:
            with bar(total=len(jobs), desc=f"Checking {name}", unit=" solutions") as shown:
                for future in as_completed(futures):
                    future.result()  # an error ends the check at once
                    shown.update(1)
        except BaseException:
            _drop(futures)
            raise
    return [future.result() for future in futures]


def _drop(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()


# --- what can be seen without running anything -----------------------------------------


def find(suite: Suite) -> Iterator[Finding]:
    """Yield what is wrong with the examples, or worth knowing of them."""
    times = Counter(example.question.id for example in suite.examples)
    found: dict[str, list[str]] = defaultdict(list)
    found["id given twice"] = [id_ for id_, count in times.items() if count > 1]
    for example in suite.examples:
        for what in _wrong(example, needs_tests="pass@1" in suite.metrics):
            found[what].append(example.question.id)
    found["same question under several ids"] = list(_repeated(suite.examples))
    for what, ids in found.items():
        if ids:
            yield Finding(what, tuple(ids))


def _wrong(example: Example, *, needs_tests: bool) -> Iterator[str]:
    reference = example.reference
    if needs_tests and reference.tests is None:
        yield "no tests"
    if not needs_tests and not reference.texts:
        yield "no reference"
    if any(not text.strip() for text in reference.texts):
        yield "empty reference"
    if shown(example):
        yield "reference stands in the question"


def shown(example: Example) -> bool:
    """Whether a reference stands in the question, whatever the blanks and line breaks."""
    question = example.question
    said = _flat("\n".join([question.text, *(file.text for file in question.files)]))
    return any(
        len(flat.split()) >= MIN_WORDS and flat in said
        for flat in map(_flat, example.reference.texts)
    )


def _flat(text: str) -> str:
    return f" {' '.join(text.split())} "


def _repeated(examples: Sequence[Example]) -> Iterator[str]:
    asked = [(one.question.text, one.question.files) for one in examples]
    times = Counter(asked)
    for example, what in zip(examples, asked, strict=True):
        if times[what] > 1:
            yield example.question.id
