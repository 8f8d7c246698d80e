"""What an evaluation came to: the suite, the solvers, every answer with its scores, the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from workbench.batch import Batch, SolverSummary
from workbench.batch.words import table_html
from workbench.errors import UnknownName
from workbench.evaluation.intervals import interval_of
from workbench.evaluation.published import Published, published
from workbench.metrics.figures import pass_figure

if TYPE_CHECKING:
    import pandas as pd

    from workbench.suites.problems import Suite
    from workbench.types import Metric, Question, Result, Score

EXECUTION = "pass@1"
"""The metric that runs the tests."""

PLAIN, ORACLE = "plain", "oracle"
"""The arms of a backend that are given no hits, and the hits for the right answer."""

_NO_PROGRAM = ("no code", "syntax error")

Tags = Mapping[str, Mapping[str, str]]
"""The tags of each question, by its id."""


@dataclass(frozen=True, slots=True)
class SuiteInfo:
    """Which problems were asked, without them: they may not be ours to hand on.

    ``digest`` is that of the examples that were asked, ``limit`` how many of them at most, and
    ``loaded_as`` the name by which they can be loaded again, None where they were handed over.
    """

    name: str
    task: str
    questions: int
    digest: str
    license: str
    citation: str
    origin: str
    checksum: str
    note: str = ""
    limit: int | None = None
    loaded_as: str | None = None

    @classmethod
    def of(cls, suite: Suite, limit: int | None = None, loaded_as: str | None = None) -> SuiteInfo:
        """Describe a suite."""
        return cls(
            name=suite.name,
            task=suite.task,
            questions=len(suite.examples),
            digest=suite.digest,
            license=suite.license,
            citation=suite.citation,
            origin=suite.origin,
            checksum=suite.checksum,
            note=suite.note,
            limit=limit,
            loaded_as=loaded_as,
        )


@dataclass(frozen=True, slots=True)
class SolverInfo:
    """Who answered. ``told`` is all that decides the answers, as plain data; ``digest`` its hash.

    Of solvers that a spec made, ``told`` has ``backend``, ``arm`` ("plain", "retrieval" or
    "oracle"), ``params``, ``templates``, and of those that search ``corpus``, ``corpus_digest``,
    ``embedder``, ``fingerprint``, ``chunker``, ``retriever``, ``k`` and ``exclude``. ``models`` are
    the weights that answered, as the backends named them.
    """

    name: str
    digest: str
    told: Mapping[str, Any]
    models: tuple[str, ...] = ()

    @property
    def backend(self) -> str:
        """The name of its backend; its own where nobody told."""
        return str(self.told.get("backend") or self.name)

    @property
    def arm(self) -> str | None:
        """What it is given beside the question: plain, retrieval, oracle; None: not known."""
        return self.told.get("arm")


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one solver, with the ends of its 95 % interval where there is one.

    ``questions`` have a score with a value, ``judged`` counts those scores. ``unjudged`` could not
    be judged (a missing toolchain, a sandbox that failed), ``missing`` were answered and never
    scored; neither is in the figure, and nor are the ``errors``, which are no answers.
    """

    solver: str
    metric: str
    signature: str
    value: float | None
    low: float | None
    high: float | None
    questions: int
    judged: int
    unjudged: int
    missing: int
    errors: int
    higher_is_better: bool
    published: Published | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "not judged"
        ends = "" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{ends}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Solvers over a suite, as the run store keeps them; shows itself in a notebook.

    ``results`` stand in the order of ``solvers``, ``questions`` and samples, with their scores.
    ``record`` is all that is known of the run: spec, sampling, seeds, templates, sandbox,
    revision; ``environment`` the versions and the machine. ``warnings`` are what a reader of the
    figures should know, a sentence each.
    """

    run: str
    suite: SuiteInfo
    questions: tuple[Question, ...] = field(repr=False)
    tags: Tags = field(repr=False)
    solvers: tuple[SolverInfo, ...]
    metrics: tuple[Metric, ...]
    samples: int
    results: tuple[Result, ...] = field(repr=False)
    record: Mapping[str, Any] = field(repr=False)
    environment: Mapping[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The solvers' names."""
        return tuple(one.name for one in self.solvers)

    def solver(self, name: str) -> SolverInfo:
        """Return one solver.

        Raises:
            UnknownName: none is called so.
        """
        found = {one.name: one for one in self.solvers}
        if name not in found:
            raise UnknownName("solver of this run", name, found)
        return found[name]

    def metric(self, name: str) -> Metric:
        """Return one metric.

        Raises:
            UnknownName: none is called so.
        """
        found = {one.name: one for one in self.metrics}
        if name not in found:
            raise UnknownName("metric of this run", name, found)
        return found[name]

    def of(self, solver: str) -> tuple[Result, ...]:
        """Return the results of one solver, errors included."""
        return tuple(one for one in self.results if one.solver == solver)

    def by_question(self, solver: str, metric: str) -> dict[str, list[Score]]:
        """Return the scores of a solver's samples by question, in the order of the suite.

        A question that was not answered, or not scored, is not there.
        """
        found: dict[str, list[Score]] = {}
        for result in self.of(solver):
            for score in result.scores:
                if score.metric == metric:
                    found.setdefault(result.question_id, []).append(score)
        return found

    @property
    def summary(self) -> tuple[Figure, ...]:
        """One figure a solver and metric."""
        return tuple(
            self.figure(one.name, metric.name) for one in self.solvers for metric in self.metrics
        )

    def figure(self, solver: str, metric: str) -> Figure:
        """Return one metric of one solver.

        Raises:
            UnknownName: there is no such solver or metric.
        """
        who, rule = self.solver(solver), self.metric(metric)
        by_question = self.by_question(solver, metric)
        scores = [score for some in by_question.values() for score in some]
        judged = sum(score.value is not None for score in scores)
        results = self.of(solver)
        answered = sum(one.answer is not None for one in results)
        low, high = interval_of(rule, list(by_question.values())) or (None, None)
        return Figure(
            solver=solver,
            metric=metric,
            signature=rule.signature,
            value=rule.aggregate(list(by_question.values())),
            low=low,
            high=high,
            questions=sum(
                any(one.value is not None for one in some) for some in by_question.values()
            ),
            judged=judged,
            unjudged=len(scores) - judged,
            missing=answered - len(scores),
            errors=len(results) - answered,
            higher_is_better=rule.higher_is_better,
            # What was published is of all problems and without sources beside them.
            published=published(self.suite.name, who.backend, metric)
            if self.suite.limit is None and who.arm in (None, PLAIN)
            else None,
        )

    def gap(self, figure: Figure) -> str:
        """Say how a figure stands to the published one, and what may explain that; "" for none."""
        quoted = figure.published
        if quoted is None or figure.value is None:
            return ""
        said = f"Published for {figure.solver}: {figure.metric} {quoted}."
        if figure.low is not None and figure.high is not None:
            within = figure.low <= quoted.value <= figure.high
            difference = figure.value - quoted.value
            way = "above" if difference > 0 else "below"
            said += f" Ours is {abs(difference):.3f} {way} it; it lies " + (
                "within our interval, so that chance alone may explain it."
                if within
                else "outside of our interval: chance does not explain it."
            )
        scores = self.by_question(figure.solver, figure.metric).values()
        broken = sum(one.detail.startswith(_NO_PROGRAM) for some in scores for one in some)
        cut = sum(
            any(call.finish_reason == "length" for call in one.calls)
            for one in self.of(figure.solver)
        )
        return said + (
            " What differs: our prompt, the weights as this backend has them (quantised, where its"
            f" file is), and the extraction: {broken:,} of {figure.judged:,} answers held no"
            f" program that can be read, {cut:,} ended at max_tokens."
        )

    def chances(self, solver: str) -> tuple[Figure, ...]:
        """Return pass@n and pass^n where there are n samples: that one is right, and that all are.

        Both come from the scores of pass@1.

        Raises:
            UnknownName: there is no such solver.
        """
        if self.samples < 2 or not any(one.name == EXECUTION for one in self.metrics):
            return ()
        base = self.figure(solver, EXECUTION)
        rows = list(self.by_question(solver, EXECUTION).values())
        found = [pass_figure(rows, self.samples, all_of_k=all_of_k) for all_of_k in (False, True)]
        return tuple(
            replace(
                base,
                metric=one.name,
                value=one.value,
                low=one.low,
                high=one.high,
                questions=one.questions,
                published=None,
            )
            for one in found
        )

    @property
    def counts(self) -> tuple[SolverSummary, ...]:
        """Answers, errors, tokens, seconds and money, a row a solver."""
        return Batch(self.run, self.questions, self.names, self.results).summary

    @property
    def errors(self) -> int:
        """How many answers there are not."""
        return sum(one.error is not None for one in self.results)

    @property
    def df(self) -> pd.DataFrame:
        """One row a result: answer, error, tags, each metric's value and detail, calls."""
        import pandas as pd

        calls = Batch(self.run, self.questions, self.names, self.results).df
        scores = [_columns(result) for result in self.results]
        tags = [{**self.tags.get(result.question_id, {})} for result in self.results]
        frames = [calls, pd.DataFrame(tags).add_prefix("tag:"), pd.DataFrame(scores)]
        return pd.concat([frame for frame in frames if len(frame.columns)], axis=1)

    def to_json(self) -> str:
        """Return suite, solvers, figures, counts and results as JSON."""
        batch = Batch(self.run, self.questions, self.names, self.results)
        rows = json.loads(batch.to_json())["results"]
        for row, result in zip(rows, self.results, strict=True):
            row["scores"] = {
                one.metric: {"value": one.value, "detail": one.detail} for one in result.scores
            }
        told = {
            "run": self.run,
            "suite": asdict(self.suite),
            "samples": self.samples,
            "solvers": [asdict(one) for one in self.solvers],
            "figures": [asdict(one) for one in self.summary],
            "counts": [asdict(one) for one in self.counts],
            "warnings": self.warnings,
            "results": rows,
        }
        return json.dumps(told, indent=2)

    def __repr__(self) -> str:
        return (
            f"<Evaluation {self.run}: {self.suite.name}, {len(self.questions):,} questions,"
            f" {len(self.solvers)} solvers, {', '.join(one.name for one in self.metrics)}>"
        )

    def _repr_html_(self) -> str:
        head = ("solver", *(one.name for one in self.metrics), "answered", "errors")
        rows = (
            (
                counts.solver,
                *(str(self.figure(counts.solver, one.name)) for one in self.metrics),
                f"{counts.answered:,}",
                f"{counts.errors:,}",
            )
            for counts in self.counts
        )
        title = f"{self.suite.name}, {len(self.questions):,} questions. Stored as run {self.run}."
        return table_html(head, rows, title, *self.warnings)


def _columns(result: Result) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for score in result.scores:
        columns[score.metric] = score.value
        columns[f"{score.metric} detail"] = score.detail
    return columns


def values_of(scores: Sequence[Score]) -> list[float]:
    """Return the values of the scores that have one."""
    return [one.value for one in scores if one.value is not None]
