"""Run a stored evaluation once more, and hand its answers on as a recording.

A recording of an evaluation is one of ``workbench.backends.replay`` without messages: of the
suite's texts it holds nothing but what a model repeated. Each line also names solver, question and
sample, so that its answers can be had in two ways: ``replay/FILE`` is a backend that answers the
same prompts, and ``recorded_solvers`` are solvers that answer the same questions, with neither
model nor corpus. Both take the code out of the raw completion and have it graded again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from workbench.backends.replay import digest, read_recording
from workbench.cancel import cancelled
from workbench.durable import replace_durably
from workbench.errors import BackendError, BadInput
from workbench.evaluation.past import open_evaluation
from workbench.evaluation.running import evaluate_spec, finish
from workbench.evaluation.spec import EvaluationSpec
from workbench.keys import scrub
from workbench.settings import settings
from workbench.store import Store
from workbench.tasks import load_task
from workbench.types import (
    SAMPLING,
    Answer,
    Answered,
    Completion,
    Prompt,
    Prompted,
    SamplingParams,
    Step,
    Token,
)

if TYPE_CHECKING:
    from workbench.evaluation.records import Evaluation, SolverInfo
    from workbench.store import Key
    from workbench.types import Event, Question, Result

_COMPLETION = TypeAdapter(Completion)
_ENDED = "replayed"
"""Where the record of a replay says that it came to its end."""
# What a recording keeps of a completion where it is not the usual.
_ALWAYS = (
    *("text", "input_tokens", "output_tokens", "seconds"),
    *("first_token_seconds", "finish_reason", "model"),
)
_USUAL = {"ignored": (), "reasoning": "", "cost": None, "attempts": 1, "fallback_for": None}


# --- once more -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not the same: an answer ("answer"), or the score of a metric by its name."""

    solver: str
    question_id: str
    sample: int
    what: str
    before: Any
    now: Any

    def __str__(self) -> str:
        where = f"{self.solver}, {self.question_id}, sample {self.sample}"
        if self.what == "answer":
            return f"{where}: another answer"
        return f"{where}: {self.what} was {self.before}, is {self.now}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run and its replay: how many answers are the same, and all that is not.

    ``compared`` are the answers that at least one of the two has; ``missing`` were not asked for
    again, and errors in both are no answers. ``surroundings`` holds, of versions, machine, sandbox
    and revision, what was and what is now. ``figures`` are those of both by solver and metric.
    """

    run: str
    replay: str
    compared: int
    same: int
    differences: tuple[Difference, ...]
    surroundings: Mapping[str, tuple[Any, Any]]
    figures: tuple[tuple[str, str, float | None, float | None], ...]
    missing: int = 0

    def __str__(self) -> str:
        scores = sum(one.what != "answer" for one in self.differences)
        figures = "; ".join(
            f"{solver} {metric} {_number(before)}, now {_number(now)}"
            for solver, metric, before, now in self.figures
        )
        missing = f" {self.missing:,} more were not asked for again." if self.missing else ""
        return (
            f"{self.same:,} of {self.compared:,} answers are the same, {scores:,} scores differ."
            f"{missing} {figures}. Stored as run {self.replay}."
        )


def replay_run(run: str, *, cache: bool = False, **options: Any) -> Replayed:
    """Run the specs of a stored run anew, and return what differs.

    Its answers are not taken from the answer cache, unless ``cache``. ``options`` are those of
    ``evaluate``. Each replay is a run of its own; only one that was stopped goes on.

    Raises:
        UnknownName: no run has that id.
        BadInput: it was made of solvers that are objects, or its suite has changed.
    """
    before = open_evaluation(run)
    run = before.run
    specs = before.record.get("specs") or []
    if not specs:
        raise BadInput(
            f"The run {run} was made of solvers that are no names.", "Evaluate them again yourself."
        )
    now: Evaluation | None = None
    store = Store(settings().runs)
    again = _was_replayed(store, run)
    for number, table in enumerate(specs):
        spec = replace(EvaluationSpec.from_table(table), cache=cache)
        anew = again and number == 0  # the other specs go on with what the first one began
        now = finish(evaluate_spec(spec, replay_of=run, again=anew, **options))
        if now.suite.digest != before.suite.digest:
            raise BadInput(f"{spec.suite} is not what it was when the run {run} asked it.")
    assert now is not None, "there is a spec"
    if not cancelled():
        store.describe(now.run, {**store.run(now.run).spec, _ENDED: True})
    return compared(before, now)


def _was_replayed(store: Store, run: str) -> bool:
    """Say whether the newest replay of a run came to its end: then it says nothing of today."""
    newest = next((one.spec for one in store.runs(-1) if one.spec.get("replay_of") == run), {})
    return bool(newest.get(_ENDED))


def compared(before: Evaluation, now: Evaluation) -> Replayed:
    """Compare two runs of the same questions."""
    old, new = _by_key(before), _by_key(now)
    asked = [key for key in old if key in new]
    keys = [key for key in asked if old[key].answer is not None or new[key].answer is not None]
    rules = {one.name for one in now.metrics}
    differences = [one for key in keys for one in _differences(old[key], new[key], rules)]
    same = sum(_text(old[key]) == _text(new[key]) for key in keys)
    shared = [
        (solver, metric.name)
        for solver in before.names
        if solver in now.names
        for metric in before.metrics
        if metric.name in rules
    ]
    return Replayed(
        run=before.run,
        replay=now.run,
        compared=len(keys),
        same=same,
        differences=tuple(differences),
        surroundings=_changed(before.record, now.record),
        figures=tuple(
            (
                solver,
                metric,
                before.figure(solver, metric).value,
                now.figure(solver, metric).value,
            )
            for solver, metric in shared
        ),
        missing=len(old) - len(asked),
    )


def _by_key(evaluation: Evaluation) -> dict[Key, Result]:
    return {(one.solver, one.question_id, one.sample): one for one in evaluation.results}


def _text(result: Result) -> str | None:
    return None if result.answer is None else result.answer.text


def _differences(before: Result, now: Result, rules: Container[str]) -> Iterator[Difference]:
    where = (before.solver, before.question_id, before.sample)
    if _text(before) != _text(now):
        yield Difference(*where, "answer", _text(before), _text(now))
    scores = {one.metric: one.value for one in now.scores}
    for one in before.scores:
        if one.metric in rules and scores.get(one.metric) != one.value:
            yield Difference(*where, one.metric, one.value, scores.get(one.metric))


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs of the surroundings in which both ended, by dotted name."""
    old, new = (dict(_flat(one["surroundings"][-1])) for one in (before, now))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _number(value: float | None) -> str:
    return "not judged" if value is None else f"{value:.3f}"


# --- recordings ------------------------------------------------------------------------


def record_run(run: str, file: Path) -> int:
    """Write the answers of a stored run into a recording, and return how many.

    A name that ends with ``.gz`` is compressed. The same run makes the same bytes. No message
    that was asked is in it, and no key.

    Raises:
        UnknownName: no run has that id.
        BadInput: it is no evaluation, or holds no answer.
    """
    evaluation = open_evaluation(run)
    tasks = {question.id: question.task for question in evaluation.questions}
    untold = {one.name for one in evaluation.solvers}
    lines = []
    for result in evaluation.results:
        info = evaluation.solver(result.solver)
        for step in result.answer.steps if result.answer is not None else ():
            line = _line(result, step, info, tasks[result.question_id])
            if info.name in untold:  # once a solver is enough
                untold.remove(info.name)
                line["told"] = dict(info.told)
            lines.append(scrub(json.dumps(line, ensure_ascii=False, sort_keys=True)))
    if not lines:
        raise BadInput(f"The run {run} holds no answer.", "Choose another.")
    data = ("\n".join(lines) + "\n").encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(file, gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)
    return len(lines)


def _line(result: Result, step: Step, info: SolverInfo, task: str) -> dict[str, Any]:
    completion = asdict(step.completion)
    kept = {name: completion[name] for name in _ALWAYS}
    kept |= {name: completion[name] for name, usual in _USUAL.items() if completion[name] != usual}
    return {
        "solver": result.solver,
        "question_id": result.question_id,
        "sample": result.sample,
        "digest": digest(step.prompt.messages),
        "params": _params(info.told.get("params", {}), task, result.sample),
        "completion": kept,
    }


def _params(told: Mapping[str, Any], task: str, sample: int) -> dict[str, Any]:
    """Return the sampling parameters that were asked for, as a recording holds them."""
    given = {name: value for name, value in told.items() if name in SAMPLING}
    given["stop"] = tuple(given.get("stop", ()))
    asked: SamplingParams = replace(load_task(task).params, **given).nth(sample)
    return {**asdict(asked), "stop": list(asked.stop)}


def recorded_solvers(file: Path) -> list[Recorded]:
    """Return the solvers of a recorded run, which answer the questions that they were asked.

    Raises:
        BackendError: the file cannot be read, or is no recording.
        BadInput: it is one of a backend, which names no solver.
    """
    answers: dict[str, dict[tuple[str, int], Completion]] = {}
    told: dict[str, Mapping[str, Any]] = {}
    for record in read_recording(file):
        if "solver" not in record:
            raise BadInput(
                f"{file.name} names no solver.", f"Ask it as a backend: replay/{file.name}"
            )
        name, key = record["solver"], (record["question_id"], record["sample"])
        answers.setdefault(name, {})[key] = _COMPLETION.validate_python(record["completion"])
        if "told" in record:
            told[name] = record["told"]
    source = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return [
        Recorded(name, known, {**told.get(name, {}), "recording": source})
        for name, known in answers.items()
    ]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A solver that answers what it answered in a recorded run, from the raw completion on.

    ``told`` says what it was then. What it was given beside the question is not recorded.
    """

    name: str
    answers: Mapping[tuple[str, int], Completion] = field(repr=False)
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)
    number: int = 0

    @property
    def backend(self) -> str:
        """Say that nobody is asked, and nothing is to be paid."""
        return "replay/recorded"

    def with_sample(self, number: int) -> Recorded:
        """Return the solver that gives the sample of that number."""
        return replace(self, number=number)

    def stream(self, question: Question) -> Iterator[Event]:
        """Yield the recorded text, then the answer that is taken out of it now.

        Raises:
            BackendError: no answer was recorded for this question and sample.
        """
        completion = self.answers.get((question.id, self.number))
        if completion is None:
            raise BackendError(
                f"No answer of {self.name} to {question.id} (sample {self.number}) was recorded.",
                "Ask fewer questions, or record them: workbench record RUN FILE",
            )
        prompt = Prompt((), "recorded")
        yield Prompted(prompt)
        if completion.text:
            yield Token(completion.text)
        found = load_task(question.task).extract(completion.text, question)
        step = Step(prompt, completion)
        yield Answered(
            Answer(found.text, completion.text, found.language, found.rule, steps=(step,))
        )
