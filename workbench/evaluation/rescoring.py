"""Judge stored answers again, or by further metrics, without calling a model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.evaluation.judging import at_once, judges
from workbench.evaluation.past import open_evaluation, told_of_rule
from workbench.evaluation.running import (
    KEY,
    EvaluationProgress,
    load,
    lock,
    unscored_of,
    watched,
)
from workbench.evaluation.scoring import Work
from workbench.settings import settings
from workbench.store import Store

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation
    from workbench.suites import Suite
    from workbench.types import Metric


def rescore(
    run: str,
    metrics: Sequence[str | Metric] = (),
    *,
    suite: Suite | None = None,
    again: bool = False,
    embedder: str | None = None,
    writer: str | None = None,
) -> Generator[EvaluationProgress]:
    """Score the answers of a stored run by metrics, without names by those that it has.

    No solver is asked. Sound scores of the same signature stay, unless all is to be judged
    ``again``. ``suite`` is that of the run where it is in no menu; ``embedder`` and ``writer`` are
    those of ``judges`` (a writer is a model that a metric asks, not a solver).

    Raises:
        UnknownName: no run or metric is called so.
        BadInput: the run is no evaluation, or its suite is not the one that was asked.
        InUse: another process evaluates or scores it.
    """
    store = Store(settings().runs)
    before = open_evaluation(run, [one for one in metrics if not isinstance(one, str)])
    run = before.run
    found = _suite_of(before, suite)
    spec = (before.record.get("specs") or [{}])[-1]
    names = metrics or [one.name for one in before.metrics]
    embedder = embedder or next(iter(spec.get("embedders") or ()), None)
    with (
        lock(str(before.record[KEY]), found.name),
        judges(names, embedder=embedder, writer=writer or spec.get("writer")) as ready,
    ):
        told = dict(store.run(run).spec)
        told["metrics"] = told["metrics"] | {one.name: one.signature for one in ready.metrics}
        told["rules"] = told["rules"] | {one.name: told_of_rule(one) for one in ready.metrics}
        if told != store.run(run).spec:
            store.describe(run, told)
        kept = {
            (one.solver, one.question_id, one.sample): one
            for one in before.results
            if one.answer is not None
        }
        unscored = unscored_of(store, run, kept, ready.metrics, afresh=again)
        examples = {example.question.id: example for example in found.examples}
        work = Work(store, run, examples, ready.metrics, at_once())
        progress = EvaluationProgress(
            None, len(kept), answered=len(kept), done=len(kept) - len(unscored), run=run
        )
        yield progress
        going = work.go([], 1, None, (), unscored)
        yield from watched(going, progress, "Scoring", ready.metrics)


def _suite_of(before: Evaluation, suite: Suite | None) -> Suite:
    """Return the suite of a run as it was asked.

    Raises:
        BadInput: it is another one by now.
    """
    asked = before.suite
    found = load(suite or asked.loaded_as or asked.name, asked.limit)
    if found.digest != asked.digest:
        raise BadInput(
            f"{found.name} is not the one that the run {before.run} asked: its digest is"
            f" {found.digest[:12]}, and was {asked.digest[:12]}.",
            "Hand over that one (suite=...), or evaluate anew: --again",
        )
    return found
