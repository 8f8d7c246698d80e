"""Run an evaluation: forecast, ask where it costs, answer and score; go on where it ended.

A run is known by what it asks: the suite with its digest, and the sampling parameters. The same
call goes on with it, and one with further solvers, samples or metrics adds what is new. Solvers
that are objects have runs of their own, as nobody can tell how they sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.backends.prices import money
from workbench.backends.wrapping import identity_of, name_of
from workbench.batch.forecast import Preflight, permit, preflight
from workbench.batch.records import spent
from workbench.durable import point
from workbench.errors import BadInput
from workbench.evaluation.judging import at_once, judges
from workbench.evaluation.past import open_evaluation, told_of_rule
from workbench.evaluation.records import PLAIN, Evaluation, SuiteInfo
from workbench.evaluation.scoring import Scored, Work
from workbench.evaluation.spec import Arm, EvaluationSpec, digest_of
from workbench.evaluation.surroundings import languages_of, surroundings
from workbench.locks import exclusive
from workbench.machine import environment
from workbench.progress import bar
from workbench.settings import settings
from workbench.spec import with_unique_names
from workbench.store import Store
from workbench.types import SAMPLING

if TYPE_CHECKING:
    from workbench.store import Key
    from workbench.suites import Suite
    from workbench.types import Metric, Result, Solver

KEY = "evaluation"
"""Where the record of a stored run holds what it is known by."""


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is. The first one holds the forecast, the last one the evaluation.

    Of ``total`` answers ``answered`` are there, ``errors`` of them not as answers, and ``done``
    are scored as well. ``unjudged`` counts scores without a value that came now. ``usd`` was
    spent by this call, as far as prices are known. ``result`` came last.
    """

    preflight: Preflight | None
    total: int
    answered: int = 0
    done: int = 0
    errors: int = 0
    unjudged: int = 0
    usd: float = 0.0
    run: str | None = None
    result: Result | None = None
    evaluation: Evaluation | None = None

    def after(self, news: Result | Scored, scoring: bool) -> EvaluationProgress:
        """Return the progress with one more answer, or one that was scored."""
        if isinstance(news, Scored):
            scores = (*news.scores, *news.failed)
            unjudged = sum(one.value is None for one in scores)
            return replace(self, done=self.done + 1, unjudged=self.unjudged + unjudged, result=None)
        finished = news.error is not None or not scoring
        return replace(
            self,
            answered=self.answered + 1,
            done=self.done + finished,
            errors=self.errors + (news.error is not None),
            usd=self.usd + (spent([news]) or 0.0),
            result=news,
        )

    def __str__(self) -> str:
        waiting = self.answered - self.done
        scoring = f", {waiting:,} to score" if waiting > 0 else ""
        unjudged = f", {self.unjudged:,} not judged" if self.unjudged else ""
        return f"{self.errors:,} errors, {money(self.usd)}{scoring}{unjudged}"


def evaluate(
    suite: Suite,
    arms: Sequence[Arm],
    metrics: Sequence[Metric],
    *,
    spec: Mapping[str, Any] | None = None,
    sampling: Mapping[str, Any] | None = None,
    limit: int | None = None,
    loaded_as: str | None = None,
    samples: int = 1,
    workers: int | None = None,
    confirm: Callable[[Preflight], bool] | None = None,
    again: bool = False,
    replay_of: str | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Generator[EvaluationProgress]:
    """Put a suite to solvers and score the answers while others are made.

    Yields the forecast, then after each answer and each scoring, then the evaluation: everything
    that the run holds. Each answer and score is in the run store before it is yielded. Closing it
    (or ``cancelled()``) stops models and graders, and keeps what was finished. Errors, and scores
    that could not be judged, are tried again by the next call. ``again`` begins anew. ``spec`` is
    kept with the run; ``limit`` says how the suite was cut and ``loaded_as`` by which name it is
    loaded; ``replay_of`` names the run of which this is one more; ``beside`` is what else is to be
    on record of this call.

    Raises:
        BadInput: there is nothing to ask; a solver of the run has the name of one of these and is
            another; or ``confirm`` would have to be asked, and there is none.
        Cancelled: ``confirm`` said no. Nothing was asked or stored.
        InUse: another process runs the same.
    """
    _check(suite, arms, samples)
    info = SuiteInfo.of(suite, limit, loaded_as)
    key = digest_of([info.name, info.digest, dict(sampling or {}), replay_of, spec is None])
    store = Store(settings().runs)
    with lock(key, suite.name):
        begun = None if again else _begun(store, key)
        known = {} if begun is None else store.run(begun).spec
        chosen = _chosen(arms, known.get("arms", {}))
        record = _record(known, info, suite, chosen, metrics, samples, beside or {})
        record |= {KEY: key, "sampling": dict(sampling or {}), "replay_of": replay_of}
        record["specs"] = _with(known.get("specs", []), spec)
        solvers = [arm.make(arm.name) for arm in chosen]
        plain = json.loads(json.dumps(record))  # as it is read again
        run = _Run(store, begun, plain, suite, solvers, tuple(metrics), samples, workers)
        yield from _run(run, confirm)


def evaluate_spec(
    spec: EvaluationSpec, suite: Suite | None = None, **options: Any
) -> Generator[EvaluationProgress]:
    """Run a spec; ``options`` are those of ``evaluate``, and ``suite`` is the spec's unless given.

    Raises:
        BadInput: the spec is wrong; nothing was loaded or stored.
    """
    spec.check()
    found = load(suite or spec.suite, spec.limit)
    embedder = spec.embedders[0] if spec.embedders else None
    with judges(spec.metrics or found.metrics, embedder=embedder, writer=spec.writer) as ready:
        yield from evaluate(
            found,
            spec.arms(found),
            ready.metrics,
            beside=ready.told,
            spec=spec.table(),
            sampling=spec.sampling,
            limit=spec.limit,
            loaded_as=None if suite is not None else spec.suite,
            samples=spec.samples,
            workers=spec.workers,
            **options,
        )


def evaluate_solvers(
    suite: str | Suite,
    solvers: Sequence[Solver],
    metrics: Sequence[str | Metric] = (),
    *,
    limit: int | None = None,
    **options: Any,
) -> Generator[EvaluationProgress]:
    """Put a suite to solvers that are objects; ``options`` are those of ``evaluate``.

    They are known by their names: the same call goes on, and further solvers are added.

    Raises:
        BadInput: a suite or metric is unknown, or there is nothing to ask.
    """
    found = load(suite, limit)
    options |= {"limit": limit, "loaded_as": suite if isinstance(suite, str) else None}
    with judges(metrics or found.metrics) as ready:
        yield from evaluate(found, arms_of(solvers), ready.metrics, beside=ready.told, **options)


def load(suite: str | Suite, limit: int | None) -> Suite:
    """Return a suite of the menu by its name, or the one that was handed over, cut to ``limit``."""
    from workbench.suites import load_problems
    from workbench.suites.problems import limited

    if isinstance(suite, str):
        return load_problems(suite, limit=limit)
    return suite if limit is None else limited(suite, limit)


def arms_of(solvers: Sequence[Solver]) -> list[Arm]:
    """Return solvers that are objects as arms: known by name, and by what can be told of them."""
    return [
        Arm(one.name, told_of(one), partial(_itself, one)) for one in with_unique_names(solvers)
    ]


def _itself(solver: Solver, name: str) -> Solver:
    if name != solver.name:
        raise BadInput(
            f"The run that this goes on with has another solver called {solver.name}.",
            "Give this one a name of its own: solver(..., name=...); or begin anew: again=True.",
        )
    return solver


def told_of(solver: Any) -> dict[str, Any]:
    """Return what can be told of a solver that is an object, as plain data."""
    while hasattr(solver, "solver"):  # one that was renamed
        solver = solver.solver
    if isinstance(own := getattr(solver, "told", None), Mapping):  # it tells of itself
        return dict(own)
    backend = getattr(solver, "backend", None)
    told: dict[str, Any] = {"class": type(solver).__name__}
    if isinstance(backend, str):
        told["backend"] = backend
    elif backend is not None:
        told |= {"backend": name_of(backend), "identity": identity_of(backend)}
    params = getattr(solver, "params", None) or getattr(solver, "overrides", None) or {}
    told["params"] = {name: params[name] for name in SAMPLING if name in params}
    retriever = getattr(solver, "retriever", None)
    if backend is not None:
        told["arm"] = PLAIN if retriever is None else "retrieval"
    if retriever is not None:
        told |= {"retriever": type(retriever).__name__, "k": getattr(solver, "k", None)}
        if (index := getattr(retriever, "info", None)) is not None:
            told |= {
                name: getattr(index, name, None)
                for name in ("corpus", "corpus_digest", "embedder", "fingerprint", "chunker")
            }
    return told


def lock(key: str, suite: str) -> AbstractContextManager[None]:
    """Hold the right to write into the runs that are known by ``key``.

    Raises:
        InUse: another process, or thread, holds it.
    """
    return exclusive(settings().home / "evaluations" / key, f"{suite} is being evaluated")


def finish(progress: Generator[EvaluationProgress]) -> Evaluation:
    """Run an evaluation to its end and return it."""
    with closing(progress):
        *_, last = progress
    assert last.evaluation is not None, "the last one holds it"
    return last.evaluation


# --- how it is done --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """One run to begin (``begun`` None) or to go on with."""

    store: Store
    begun: str | None
    record: dict[str, Any]
    suite: Suite
    solvers: Sequence[Solver]
    metrics: tuple[Metric, ...]
    samples: int
    workers: int | None

    def kept(self) -> dict[Key, Result]:
        """Return the answers that are asked for and there already."""
        if self.begun is None:
            return {}
        names = {one.name for one in self.solvers}
        return {
            (result.solver, result.question_id, result.sample): result
            for _, result in self.store.results(self.begun)
            if result.error is None and result.solver in names and result.sample < self.samples
        }

    def start(self, idle: bool) -> str:
        """Begin the run, or write down what is asked of it now, and return its id.

        Where there is nothing to do, it does not matter in which surroundings.
        """
        if self.begun is None:
            run = self.store.start(self.record, environment())
            point("evaluate.started")
            return run
        before = self.store.run(self.begun).spec
        now = {**self.record, "surroundings": before["surroundings"]} if idle else self.record
        if now != before:
            self.store.describe(self.begun, now)
            point("evaluate.described")
        return self.begun


def _run(run: _Run, confirm: Callable[[Preflight], bool] | None) -> Generator[EvaluationProgress]:
    questions = [example.question for example in run.suite.examples]
    kept = run.kept()
    forecast = preflight(questions, run.solvers, run.samples, workers=run.workers, done=kept)
    total = len(questions) * len(run.solvers) * run.samples
    unscored = unscored_of(run.store, run.begun, kept, run.metrics)
    progress = EvaluationProgress(
        forecast, total, answered=len(kept), done=len(kept) - len(unscored), run=run.begun
    )
    yield progress
    if len(kept) < total:
        permit(forecast, confirm, "evaluation")
    name = run.start(idle=len(kept) == total and not unscored)
    work = Work(
        run.store,
        name,
        {example.question.id: example for example in run.suite.examples},
        run.metrics,
        at_once(),
    )
    going = work.go(run.solvers, run.samples, run.workers, kept, unscored)
    yield from watched(going, replace(progress, run=name), "Evaluating", run.metrics)


def watched(
    going: Generator[Result | Scored],
    progress: EvaluationProgress,
    what: str,
    metrics: Sequence[Metric],
) -> Generator[EvaluationProgress]:
    """Yield the progress after each step of the work, behind a bar, and the evaluation last."""
    with (
        closing(going),
        bar(total=progress.total, initial=progress.done, desc=what, unit="answer") as shown,
    ):
        for news in going:
            before, progress = progress.done, progress.after(news, bool(metrics))
            shown.set_postfix_str(str(progress), refresh=False)
            shown.update(progress.done - before)
            yield progress
    point("evaluate.finished")
    assert progress.run is not None, "it was begun"
    yield replace(progress, result=None, evaluation=open_evaluation(progress.run, metrics))


def unscored_of(
    store: Store,
    run: str | None,
    kept: Mapping[Key, Result],
    metrics: Sequence[Metric],
    afresh: bool = False,
) -> list[tuple[Result, tuple[Metric, ...]]]:
    """Return the stored answers that lack scores, with the metrics that have not judged them.

    A score without a value counts as none: what kept the judge may be over. ``afresh``: all.
    """
    scores = {} if run is None or afresh else store.scores(run)
    found = []
    for key, result in kept.items():
        judged = {name for name, one in scores.get(key, {}).items() if one.value is not None}
        missing = tuple(one for one in metrics if one.signature not in judged)
        if missing and result.answer is not None:
            found.append((result, missing))
    return found


def _check(suite: Suite, arms: Sequence[Arm], samples: int) -> None:
    if not suite.examples or not arms or samples < 1:
        raise BadInput("The evaluation asks nothing.", "Give it a suite, a backend, and a sample.")
    ids = [example.question.id for example in suite.examples]
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise BadInput(f"Two questions of {suite.name} have the id {twice}.", "Mend the suite.")
    if samples > 1:
        for arm in arms:
            if not hasattr(arm.make(arm.name), "with_sample"):
                raise BadInput(
                    f"{arm.name} cannot give several samples of one question.",
                    "Ask for one, or give the solver a method with_sample(i).",
                )


def _begun(store: Store, key: str) -> str | None:
    """Return the newest run of this evaluation, None where it was never begun."""
    return next((row.id for row in store.runs(-1) if row.spec.get(KEY) == key), None)


def _chosen(arms: Sequence[Arm], known: Mapping[str, Any]) -> list[Arm]:
    """Return the arms under names that mean the same in this run.

    One whose name stands for another solver there (its corpus was crawled again, or another
    template is in use) has its digest behind it.

    Raises:
        BadInput: two of them share a name.
    """
    chosen: list[Arm] = []
    for arm in arms:
        there = known.get(arm.name)
        if there is not None and there["digest"] != arm.digest:
            arm = replace(arm, name=f"{arm.name} @{arm.digest[:6]}")
        if any(arm.name == other.name for other in chosen):
            raise BadInput(f"Two solvers are called {arm.name}.", "Give each a name of its own.")
        chosen.append(arm)
    return chosen


def _record(
    known: Mapping[str, Any],
    info: SuiteInfo,
    suite: Suite,
    arms: Sequence[Arm],
    metrics: Sequence[Metric],
    samples: int,
    beside: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is told of the run: what was known, and what is asked for now."""
    told = {**known.get("arms", {})}
    told |= {arm.name: {"digest": arm.digest, **arm.told} for arm in arms}
    here = {**surroundings(languages_of(suite)), **beside}
    seen = list(known.get("surroundings", []))
    return {
        "suite": asdict(info),
        "tags": {one.question.id: dict(one.tags) for one in suite.examples if one.tags},
        "questions": [one.question.id for one in suite.examples],
        "solvers": list(told),
        "arms": told,
        "samples": max(samples, known.get("samples", 0)),
        "metrics": {**known.get("metrics", {}), **{one.name: one.signature for one in metrics}},
        "rules": {**known.get("rules", {}), **{one.name: told_of_rule(one) for one in metrics}},
        "surroundings": seen if seen[-1:] == [here] else [*seen, here],
    }


def _with(specs: Sequence[Any], spec: Mapping[str, Any] | None) -> list[Any]:
    """Return the specs by which a run was made, each once, in the order in which they came."""
    plain = json.loads(json.dumps(spec))
    return [*specs] if spec is None or plain in specs else [*specs, plain]
