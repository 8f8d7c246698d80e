"""Run a batch: forecast, ask where it costs, answer, store each result; go on where it ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.backends.prices import money
from workbench.batch.forecast import Preflight, announce, permit, preflight
from workbench.batch.questions import read_prompts
from workbench.batch.records import Batch, spent
from workbench.errors import BadInput
from workbench.machine import environment
from workbench.progress import bar
from workbench.run import answer_all
from workbench.settings import settings
from workbench.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.spec import RunSpec
    from workbench.types import Question, Result, Solver

_KEY = "batch"
"""Where the spec of a stored run holds the digest of its batch."""


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is. The first one holds the forecast alone, the last one the ``batch``.

    ``done`` of ``total`` answers are there, ``errors`` of them not as answers. ``usd`` was spent
    by this call, as far as prices are known. ``result`` came last.
    """

    preflight: Preflight
    total: int
    done: int = 0
    errors: int = 0
    usd: float = 0.0
    run: str | None = None
    result: Result | None = None
    batch: Batch | None = None

    def after(self, result: Result) -> BatchProgress:
        """Return the progress with one more result."""
        return replace(
            self,
            done=self.done + 1,
            errors=self.errors + (result.error is not None),
            usd=self.usd + (spent([result]) or 0.0),
            result=result,
        )

    def __str__(self) -> str:
        return f"{self.errors:,} errors, {money(self.usd)}"


def run_batch(
    questions: Sequence[Question],
    solvers: Sequence[Solver],
    spec: Mapping[str, Any],
    *,
    samples: int = 1,
    workers: int | None = None,
    confirm: Callable[[Preflight], bool] | None = None,
    again: bool = False,
) -> Generator[BatchProgress]:
    """Put all questions to all solvers; yield the forecast, then after each result, then the batch.

    ``spec`` is what was asked for, as plain data; it is stored with the run. Each result is in the
    run store before it is yielded. A batch that was killed or closed keeps what was finished, and
    the same call goes on with the rest: the same spec, questions, solvers and samples. Errors are
    tried again. ``again`` begins anew.

    ``confirm`` is asked above ``WORKBENCH_ASK_ABOVE`` USD, or where the price of a backend is
    unknown that is not on this machine.

    Raises:
        BadInput: there is nothing to ask, or two questions share an id; or ``confirm`` would have
            to be asked, and there is none.
        Cancelled: ``confirm`` said no. Nothing was asked or stored.
    """
    _check(questions, solvers, samples)
    store = Store(settings().runs)
    told = {**spec, "solvers": [one.name for one in solvers], "samples": samples}
    told[_KEY] = _digest(told, questions)
    run = None if again else _begun(store, told[_KEY])
    kept = _kept(store, run)
    forecast = preflight(questions, solvers, samples, workers=workers, done=kept)
    total = len(questions) * len(solvers) * samples
    progress = BatchProgress(forecast, total, done=len(kept), run=run)
    yield progress
    if len(kept) < total:
        permit(forecast, confirm)
    run = run or store.start(told, environment())
    progress = replace(progress, run=run)
    by_id = {question.id: question for question in questions}
    results = answer_all(questions, solvers, samples=samples, workers=workers, done=kept)
    with (
        closing(results),
        bar(total=total, initial=len(kept), desc="Answering", unit="answer") as shown,
    ):
        for result in results:
            store.add(run, by_id[result.question_id], result)
            kept[result.solver, result.question_id, result.sample] = result
            progress = progress.after(result)
            shown.set_postfix_str(str(progress), refresh=False)
            shown.update()
            yield progress
    batch = Batch(run, tuple(questions), tuple(told["solvers"]), _in_order(kept, questions, told))
    yield replace(progress, batch=batch)


def run_prompts(prompts: Path, spec: RunSpec, **options: Any) -> Generator[BatchProgress]:
    """Run the prompts of a file (see ``read_prompts``) through the panes of a spec.

    ``options`` are those of ``run_batch``.

    Raises:
        BadInput: the file or the spec is wrong; nothing was loaded or stored.
    """
    spec = replace(spec, text="")
    questions = read_prompts(prompts, spec)
    if not spec.panes:
        raise BadInput("No backend was chosen.", "Choose one: workbench models list")
    for task in {question.task: question for question in questions}.values():
        replace(spec, task=task.task, text=task.text, language=task.language).check()
    yield from run_batch(questions, spec.solvers(), asdict(spec), **options)


def finish(progress: Generator[BatchProgress]) -> Batch:
    """Run a batch to its end and return it; say before what it will take, where a bar is seen."""
    with closing(progress):
        for last in progress:
            if last.result is None and last.batch is None:
                announce(last.preflight)
    assert last.batch is not None, "the last one holds it"
    return last.batch


def _check(questions: Sequence[Question], solvers: Sequence[Solver], samples: int) -> None:
    if not questions or not solvers or samples < 1:
        raise BadInput("The batch asks nothing.", "Give it a prompt, a backend, and a sample.")
    ids = [question.id for question in questions]
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise BadInput(f"Two questions have the id {twice}.", "Give each an id of its own.")


def _digest(told: Mapping[str, Any], questions: Sequence[Question]) -> str:
    """Return sixteen hex digits that two equal batches share, whatever they may cost.

    Whoever ran out of budget goes on with a larger one.
    """
    asked = {name: value for name, value in told.items() if name != "budget"}
    material = [asked, [asdict(question) for question in questions]]
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:16]


def _begun(store: Store, digest: str) -> str | None:
    """Return the newest run of this batch, None where it was never begun."""
    return next((row.id for row in store.runs(-1) if row.spec.get(_KEY) == digest), None)


def _kept(store: Store, run: str | None) -> dict[tuple[str, str, int], Result]:
    """Return the results of a run that need not be asked for again, by key."""
    if run is None:
        return {}
    return {
        (result.solver, result.question_id, result.sample): result
        for _, result in store.results(run)
        if result.error is None
    }


def _in_order(
    kept: Mapping[tuple[str, str, int], Result],
    questions: Sequence[Question],
    told: Mapping[str, Any],
) -> tuple[Result, ...]:
    keys = (
        (solver, question.id, sample)
        for solver in told["solvers"]
        for question in questions
        for sample in range(told["samples"])
    )
    return tuple(kept[key] for key in keys if key in kept)
