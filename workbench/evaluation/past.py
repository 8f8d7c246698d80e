"""Evaluations of before: opened from the run store, without models and without the suite."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.evaluation.judging import figure_rule
from workbench.evaluation.records import Evaluation, SolverInfo, SuiteInfo
from workbench.settings import settings
from workbench.store import Store

if TYPE_CHECKING:
    from workbench.store import RunRow
    from workbench.types import Metric, Result, Score


def open_evaluation(run: str, metrics: Sequence[Metric] = ()) -> Evaluation:
    """Return a stored evaluation as it stands. No model is called, and no suite is needed.

    ``run`` is an id, or "last" for the newest. ``metrics`` are rules of your own by which it was
    scored, to reckon their figures.

    Raises:
        UnknownName: no run has that id.
        BadInput: it is no evaluation, or there is none yet.
    """
    store = Store(settings().runs)
    run = _newest() if run == "last" else run
    row = store.run(run)
    record = row.spec
    if "suite" not in record or "arms" not in record:
        raise BadInput(f"The run {run} is no evaluation.", "Choose another: workbench runs")
    rows = list(store.results(run))
    by_id = {question.id: question for question, _ in rows}
    results = _in_order(record, [result for _, result in rows])
    rules, said = _rules(record, {one.name: one for one in metrics})
    return Evaluation(
        run=run,
        suite=SuiteInfo(**record["suite"]),
        questions=tuple(by_id[name] for name in record["questions"] if name in by_id),
        tags=record.get("tags", {}),
        solvers=tuple(_solver(name, told, results) for name, told in record["arms"].items()),
        metrics=rules,
        samples=record["samples"],
        results=results,
        record=record,
        environment=row.environment,
        warnings=(*said, *_warnings(record, results)),
    )


def _newest() -> str:
    newest = evaluations(1)
    if not newest:
        raise BadInput("Nothing was evaluated yet.", "Run: workbench evaluate --suite humaneval")
    return newest[0].id


def evaluations(limit: int = 50) -> list[RunRow]:
    """Return the latest runs that are evaluations, newest first."""
    rows = Store(settings().runs).runs(-1)
    return [row for row in rows if "suite" in row.spec and "arms" in row.spec][:limit]


def _in_order(record: Mapping[str, Any], results: Sequence[Result]) -> tuple[Result, ...]:
    solvers = {name: place for place, name in enumerate(record["arms"])}
    questions = {name: place for place, name in enumerate(record["questions"])}
    known = [one for one in results if one.solver in solvers and one.question_id in questions]
    return tuple(
        sorted(known, key=lambda one: (solvers[one.solver], questions[one.question_id], one.sample))
    )


def _solver(name: str, told: Mapping[str, Any], results: Sequence[Result]) -> SolverInfo:
    models = _models([result for result in results if result.solver == name])
    rest = {key: value for key, value in told.items() if key != "digest"}
    return SolverInfo(name, told["digest"], rest, models)


def _models(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the weights that answered, as the backends named them: more than one is a surprise."""
    found = dict.fromkeys(
        call.sent.model
        for result in results
        for call in result.calls
        if call.sent is not None and call.sent.model
    )
    return tuple(found)


def _rules(
    record: Mapping[str, Any], own: Mapping[str, Metric]
) -> tuple[tuple[Metric, ...], list[str]]:
    """Return the metrics of a run, and what there is to say of them."""
    rules: list[Metric] = []
    said = []
    for name, signature in record["metrics"].items():
        rule = own.get(name) or figure_rule(name)
        if rule is None or rule.signature != signature:
            if rule is not None:
                said.append(f"{name} was scored as {signature}; now it would be {rule.signature}.")
            told = record.get("rules", {}).get(name, {})
            rule = StoredMetric(name, signature, rule, **told)
        rules.append(rule)
    return tuple(rules), said


def told_of_rule(metric: Metric) -> dict[str, bool]:
    """Return what must be known of a metric to reckon its figures where it is not to be had."""
    return {
        "higher_is_better": metric.higher_is_better,
        "verdict": bool(getattr(metric, "verdict", False)),
    }


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """A metric of which the scores are stored, but not the rule in this version, or at all.

    Its figure is that of ``like``, or the mean over questions of the means over samples.
    ``verdict`` says whether all values are 0 or 1.
    """

    name: str
    signature: str
    like: Metric | None = None
    higher_is_better: bool = True
    verdict: bool = False

    def score(self, answer: Any, example: Any) -> Score:
        """Refuse: the rule is not here.

        Raises:
            BadInput: always.
        """
        raise BadInput(f"{self.name} of this version cannot be reckoned here.", "Hand it over.")

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the figure of a whole suite."""
        if self.like is not None:
            return self.like.aggregate(by_question)
        judged = [[one.value for one in some if one.value is not None] for some in by_question]
        means = [sum(some) / len(some) for some in judged if some]
        return sum(means) / len(means) if means else None


def _warnings(record: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    said = []
    if note := record["suite"].get("note"):
        said.append(note)
    for name, told in record["arms"].items():
        said.extend(
            _warnings_of(name, told, [one for one in results if one.solver == name], record)
        )
    if (
        len(
            revisions := {json.dumps(one, sort_keys=True) for one in record.get("surroundings", [])}
        )
        > 1
    ):
        said.append(f"The run went on in {len(revisions)} different surroundings; see its record.")
    return said


def _warnings_of(
    name: str, told: Mapping[str, Any], results: Sequence[Result], record: Mapping[str, Any]
) -> list[str]:
    said = []
    errors = sum(one.error is not None for one in results)
    if errors:
        said.append(f"{name}: {errors:,} of {len(results):,} are errors, and in no figure.")
    missing = len(record["questions"]) - len({one.question_id for one in results})
    if missing:
        said.append(f"{name}: {missing:,} questions were not asked yet.")
    cut = sum(any(call.finish_reason == "length" for call in one.calls) for one in results)
    if cut:
        what = "answer was" if cut == 1 else "answers were"
        said.append(f"{name}: {cut:,} {what} cut off by max_tokens.")
    models = _models(results)
    if len(models) > 1:
        said.append(f"{name}: {len(models):,} different models answered: {', '.join(models)}.")
    params = told.get("params", {})
    if record["samples"] > 1 and params.get("temperature") == 0:
        said.append(f"{name}: temperature 0 gives the same sample again and again.")
    if told.get("corpus") and told.get("exclude", "") is None:
        said.append(f"{name}: the corpus may hold solutions of the suite; none was left out.")
    unjudged = Counter(
        score.detail or "no reason given"
        for one in results
        for score in one.scores
        if score.value is None
    )
    for why, count in unjudged.most_common(3):
        said.append(f"{name}: {count:,} scores could not be judged: {why.rstrip('.')}.")
    return said
