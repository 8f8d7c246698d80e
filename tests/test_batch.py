"""Batches: every question to every solver, one model after the other, forecast, asked, resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
import typer
from fake_openai import fake_server
from typer.testing import CliRunner

from workbench.backends.cache import cached
from workbench.backends.prices import price_file
from workbench.batch import (
    Batch,
    BatchProgress,
    Preflight,
    Span,
    finish,
    preflight,
    read_prompts,
    run_batch,
)
from workbench.batch.past import measured_speeds, past_answers
from workbench.cancel import cancelled, cancelled_by
from workbench.cli.batch import batch as batch_command
from workbench.errors import BackendError, BadInput, BrokenOff, Cancelled
from workbench.machine import hardware
from workbench.progress import heard_by
from workbench.run import answer_all
from workbench.settings import settings
from workbench.spec import Pane, RunSpec, solver
from workbench.store import Store
from workbench.tasks import load_task
from workbench.types import (
    Answer,
    Answered,
    Completion,
    Event,
    Message,
    Prompt,
    Prompted,
    Question,
    Result,
    SamplingParams,
    Step,
    Token,
)

QUESTIONS = [Question(f"q{n}", "generate", f"add {n} numbers", None, "python") for n in range(4)]
PROMPT = Prompt((Message("user", "add"),), "t")
DONE = Completion("x", 10, 5, 0.5, 0.1, "stop", "fake/one", cost=0.25)
# Seconds after which what has not come will not: what is waited for here would else never end.
PATIENCE = 60


def answered(completion: Completion = DONE) -> Answered:
    return Answered(Answer("x", "x", None, "raw", steps=(Step(PROMPT, completion),)))


def speaks(question: Question) -> Iterator[Event]:
    yield Prompted(PROMPT)
    yield Token("x")
    yield answered()


@dataclass
class Fake:
    """A solver that answers by ``script``, and notes what it does."""

    name: str
    script: Callable[[Question], Iterator[Event]] = speaks
    workers: int = 1
    log: list[str] = field(default_factory=list)
    room: threading.Lock | None = None
    sample: int = 0
    at_once: int = 0
    most: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def with_sample(self, number: int) -> Numbered:
        return Numbered(self, number)

    @contextmanager
    def hold(self) -> Iterator[None]:
        while self.room is not None and not self.room.acquire(timeout=0.05):
            if cancelled():
                raise Cancelled("nobody waits")
        self.log.append(f"load {self.name}")
        try:
            yield
        finally:
            self.log.append(f"unload {self.name}")
            if self.room is not None:
                self.room.release()

    def stream(self, question: Question) -> Iterator[Event]:
        with self.guard:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.log.append(f"{self.name} {question.id}")
        try:
            yield from self.script(question)
        finally:
            with self.guard:
                self.at_once -= 1


@dataclass(frozen=True)
class Numbered:
    of: Fake
    number: int

    @property
    def name(self) -> str:
        return self.of.name

    def stream(self, question: Question) -> Iterator[Event]:
        yield from self.of.stream(replace(question, id=f"{question.id}#{self.number}"))


@dataclass(frozen=True)
class Plain:
    """A solver that has nothing but what a solver must have."""

    name: str = "plain"

    def stream(self, question: Question) -> Iterator[Event]:
        return speaks(question)


def breaks(error: Exception) -> Callable[[Question], Iterator[Event]]:
    def script(question: Question) -> Iterator[Event]:
        yield Prompted(PROMPT)
        raise error

    return script


# --- answer_all ------------------------------------------------------------------------


def test_every_question_is_put_to_every_solver_once() -> None:
    results = list(answer_all(QUESTIONS, [Plain("a"), Fake("b", workers=3)]))
    keys = [(one.solver, one.question_id, one.sample) for one in results]
    assert sorted(keys) == sorted((name, f"q{n}", 0) for name in "ab" for n in range(4))
    assert all(one.answer and one.error is None for one in results)


def test_the_workers_of_a_solver_run_at_once_and_no_more() -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def together(question: Question) -> Iterator[Event]:
        meeting.wait()  # breaks unless three are here together
        yield answered()

    fake = Fake("a", together, workers=3)
    results = list(answer_all([*QUESTIONS, *QUESTIONS[:2]], [fake]))
    assert [one.error for one in results] == [None] * 6
    assert fake.most == 3


def test_the_argument_says_how_many_work_where_it_is_given() -> None:
    fake = Fake("a", workers=4)
    list(answer_all(QUESTIONS, [fake], workers=1))
    assert fake.most == 1


def test_each_sample_has_its_number_and_those_of_a_question_come_together() -> None:
    fake = Fake("a")
    results = list(answer_all(QUESTIONS[:2], [fake], samples=3))
    assert [(one.question_id, one.sample) for one in results] == [
        (name, n) for name in ("q0", "q1") for n in range(3)
    ]
    assert fake.log[1:-1] == [f"a q{q}#{n}" for q in range(2) for n in range(3)]


def test_a_solver_that_cannot_give_samples_says_so_before_anything_begins() -> None:
    fake = Fake("a")
    with pytest.raises(BadInput, match="plain cannot give several samples"):
        list(answer_all(QUESTIONS, [fake, Plain()], samples=2))
    assert fake.log == []


def test_models_that_do_not_fit_together_come_one_after_the_other() -> None:
    room, log = threading.Lock(), list[str]()
    fakes = [Fake(name, workers=2, log=log, room=room) for name in "abc"]
    results = list(answer_all(QUESTIONS, fakes))
    assert len(results) == 12
    turns = [log[start : start + 6] for start in range(0, 18, 6)]
    for turn in turns:
        name = turn[0].split()[-1]
        assert turn[0] == f"load {name}"
        assert {line.split()[0] for line in turn[1:-1]} == {name}
        assert turn[-1] == f"unload {name}"


def test_a_model_that_cannot_be_held_fails_its_own_share_only() -> None:
    class TooLarge(Fake):
        @contextmanager
        def hold(self) -> Iterator[None]:
            raise BackendError("It does not fit.", "Take a smaller one.")
            yield

    broken, sound = TooLarge("broken", workers=2), Fake("sound")
    results = list(answer_all(QUESTIONS, [broken, sound]))
    assert [one.error for one in results if one.solver == "broken"] == [
        "It does not fit. Take a smaller one."
    ] * 4
    assert [one.error for one in results if one.solver == "sound"] == [None] * 4
    assert broken.log == []


def test_an_error_is_a_result_with_what_had_come() -> None:
    half = replace(DONE, finish_reason="broken")
    fakes = [
        Fake("broken off", breaks(BrokenOff("Cut.", partial=half))),
        Fake("bug", breaks(ZeroDivisionError("by zero"))),
        Fake("empty", lambda question: iter(())),
        Fake("sound"),
    ]
    results = {one.solver: one for one in answer_all(QUESTIONS[:1], fakes)}
    assert results["broken off"].error == "Cut."
    assert results["broken off"].partial == Step(PROMPT, half)
    assert results["bug"].error == "ZeroDivisionError: by zero (--debug shows more)"
    assert results["empty"].error == "The solver ended without an answer."
    assert results["sound"].answer is not None
    assert all(one.answer is None for name, one in results.items() if name != "sound")


def test_no_error_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    (result,) = answer_all(QUESTIONS[:1], [Fake("a", breaks(ValueError("bad sk-0123456789")))])
    assert result.error == "ValueError: bad *** (--debug shows more)"


def test_what_is_done_is_not_asked_and_a_finished_solver_is_not_loaded() -> None:
    fakes = [Fake("a"), Fake("b")]
    done = {("a", f"q{n}", 0) for n in range(4)} | {("b", "q1", 0)}
    results = list(answer_all(QUESTIONS, fakes, done=done))
    assert [one.question_id for one in results] == ["q0", "q2", "q3"]
    assert fakes[0].log == []


def endless(question: Question) -> Iterator[Event]:
    while not cancelled():
        time.sleep(0.01)
    yield answered(replace(DONE, finish_reason="cancelled"))


def all_ended(fakes: list[Fake]) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if all(fake.at_once == 0 and fake.log[-1:] != [f"load {fake.name}"] for fake in fakes):
            return True
        time.sleep(0.01)
    return False


def test_closing_stops_every_call_and_lets_every_model_go() -> None:
    room = threading.Lock()
    fakes = [Fake("slow", endless, workers=3), Fake("other", endless, room=room), Fake("quick")]
    waiting = Fake("waiting", room=room)
    room.acquire()
    results = answer_all(QUESTIONS, [*fakes[:1], waiting, fakes[2]])
    assert next(results).solver == "quick"
    results.close()
    assert all_ended([fakes[0], waiting, fakes[2]])
    assert waiting.log == [], "it was never loaded"
    assert list(results) == []


def test_a_reader_whose_work_is_cancelled_stops_by_itself() -> None:
    stop = threading.Event()
    fake = Fake("slow", endless)
    with cancelled_by(stop):
        threading.Timer(0.2, stop.set).start()
        assert list(answer_all(QUESTIONS, [fake])) == []
    assert all_ended([fake])


def test_two_solvers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="not unique"):
        list(answer_all(QUESTIONS, [Plain(), Plain()]))


# --- the forecast ----------------------------------------------------------------------


def hosted(name: str = "openai/gpt-4o", **params: object):
    return solver(name, **params)


def own_price(name: str, read: float, written: float) -> None:
    price_file().parent.mkdir(parents=True, exist_ok=True)
    price_file().write_text(f'["{name}"]\ninput = {read}\noutput = {written}\n', encoding="utf-8")


def test_the_forecast_multiplies_out_calls_tokens_and_money() -> None:
    own_price("openai/gpt-4o", 2.0, 10.0)
    flight = preflight(QUESTIONS, [hosted(max_tokens=100)], samples=3)
    (one,) = flight.forecasts
    size = sum(
        len(message.content.encode())
        for question in QUESTIONS
        for message in load_task("generate").render(question, ()).messages
    )
    assert (flight.calls, flight.cached, flight.output_tokens) == (12, 0, Span(12, 1200))
    assert one.input_tokens.low >= 3 * size / 6.0
    assert one.input_tokens.high <= 3 * size / 1.7 + 12 * (2 * 16 + 40) + 12
    assert flight.usd is not None
    assert flight.usd.low == pytest.approx((one.input_tokens.low * 2 + 120) / 1e6, rel=0.01)
    assert flight.usd.high == pytest.approx((one.input_tokens.high * 2 + 12000) / 1e6, rel=0.01)
    assert flight.minutes is None


@pytest.mark.models
def test_the_estimate_holds_the_counted_tokens(models_home: Path) -> None:
    from workbench.backends import load_backend, loaded, unload_all

    estimated = preflight(QUESTIONS, [hosted("llama-cpp/smollm2-135m")])
    assert "llama-cpp/smollm2-135m" not in [one.name for one in loaded()]
    load_backend("llama-cpp/smollm2-135m")
    try:
        counted = preflight(QUESTIONS, [hosted("llama-cpp/smollm2-135m")])
        assert [one.leased for one in loaded() if one.name == "llama-cpp/smollm2-135m"] == [0]
    finally:
        unload_all()
    low, high = estimated.input_tokens.low, estimated.input_tokens.high
    assert counted.input_tokens.low == counted.input_tokens.high
    assert low <= counted.input_tokens.low <= high
    assert "counted" in counted.basis[0]
    assert "estimated" in estimated.basis[0]


def test_an_unknown_price_is_named_and_is_no_zero() -> None:
    unknown = "openai-compatible/m@http://localhost:1/v1"
    flight = preflight(QUESTIONS, [hosted("llama-cpp/smollm2-135m"), hosted(unknown)])
    assert flight.usd is None
    assert flight.unknown == (unknown,)
    assert "cost unknown" in str(flight)
    assert unknown in (flight.objection(1000) or "")


def test_local_models_cost_nothing_and_nobody_is_asked() -> None:
    flight = preflight(QUESTIONS, [hosted("llama-cpp/smollm2-135m"), hosted("retrieval")])
    assert flight.usd == Span(0, 0)
    assert flight.objection(0) is None


def test_above_the_limit_there_is_an_objection_with_both_amounts() -> None:
    own_price("openai/gpt-4o", 0.0, 10.0)
    flight = preflight(QUESTIONS, [hosted(max_tokens=50_000)])
    assert flight.usd is not None
    assert flight.usd.high == pytest.approx(2.0)
    assert flight.objection(2.0) is None
    assert flight.objection(1.99) == "The batch may cost 2.00 USD, which is more than 1.99 USD."


def test_a_fallback_may_cost_what_it_costs() -> None:
    own_price("openai/gpt-4o", 0.0, 10.0)
    spec = RunSpec(
        panes=(Pane("llama-cpp/smollm2-135m"),),
        params=(("max_tokens", 100),),
        fallback="openai/gpt-4o",
    )
    flight = preflight(QUESTIONS, spec.solvers())
    assert flight.usd == Span(0, pytest.approx(4 * 100 * 10 / 1e6))
    unknown = preflight(QUESTIONS, replace(spec, fallback="openai/gpt-unknown").solvers())
    assert (unknown.usd, unknown.unknown) == (None, ("openai/gpt-unknown",))


def test_a_budget_within_the_limit_is_reason_enough_not_to_ask() -> None:
    own_price("openai/gpt-4o", 0.0, 10.0)
    panes = (Pane("openai/gpt-4o"), Pane("openai/gpt-unknown"), Pane("llama-cpp/smollm2-135m"))
    spec = RunSpec(panes=panes, params=(("max_tokens", 50_000),))

    def flight(budget: float | None) -> Preflight:
        return preflight(QUESTIONS, replace(spec, budget=budget).solvers())

    assert flight(0.5).objection(0.5) is None
    assert flight(0.51).objection(0.5) is not None
    assert flight(None).objection(0.5) is not None
    assert "cost unknown (at most 0.50 USD)" in str(flight(0.5))


@dataclass
class Model:
    """A backend that identifies itself, for the cache."""

    name: str = "openai/gpt-4o"
    identity: str = "gpt-4o@1"

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        yield DONE


def test_the_cached_share_is_known_before_and_costs_nothing() -> None:
    own_price("openai/gpt-4o", 0.0, 10.0)
    params = replace(load_task("generate").params, max_tokens=100)
    model = cached(Model())
    for question in QUESTIONS[:3]:
        prompt = load_task("generate").render(question, ())
        for sample in range(2):
            list(model.stream(prompt, params.nth(sample)))
    flight = preflight(QUESTIONS, [hosted(max_tokens=100)], samples=2)
    assert (flight.calls, flight.cached) == (8, 6)
    assert flight.output_tokens == Span(2, 200)
    assert flight.usd is not None
    assert flight.usd.high == pytest.approx(2 * 100 * 10 / 1e6)
    assert preflight(QUESTIONS, [hosted(max_tokens=101)], samples=2).cached == 0


def test_without_the_cache_nothing_is_cached() -> None:
    prompt = load_task("generate").render(QUESTIONS[0], ())
    list(cached(Model()).stream(prompt, load_task("generate").params))
    assert preflight(QUESTIONS, [hosted()]).cached == 1
    spec = RunSpec(panes=(Pane("openai/gpt-4o"),), cache=False)
    assert preflight(QUESTIONS, spec.solvers()).cached == 0


def test_with_retrieval_the_cached_share_is_unknown_and_the_prompts_may_be_longer() -> None:
    class Finds:
        def search(self, query: str, k: int) -> list:
            raise AssertionError("a forecast does not search")

    prompt = load_task("generate").render(QUESTIONS[0], ())
    list(cached(Model()).stream(prompt, load_task("generate").params))
    plain = preflight(QUESTIONS, [hosted()])
    flight = preflight(QUESTIONS, [solver("openai/gpt-4o", retriever=Finds(), k=3)])
    assert flight.cached is None
    assert "an unknown share cached" in str(flight)
    assert flight.input_tokens.high > plain.input_tokens.high + 4 * 3 * 1000


def past_run(count: int, tokens: Callable[[int], int], finish: str = "stop") -> None:
    store = Store(settings().runs)
    run = store.start({"panes": [{"backend": "openai/gpt-4o"}]}, {})
    for n in range(count):
        made = replace(
            DONE,
            model="openai/gpt-4o",
            output_tokens=tokens(n),
            seconds=float(n),
            finish_reason=finish,
        )
        question = Question(f"p{n}", "generate", "x")
        answer = Answer("x", "x", None, "raw", steps=(Step(PROMPT, made),))
        store.add(run, question, Result("s", question.id, 0, answer))


def test_answers_of_before_say_how_long_the_next_ones_will_be_and_take() -> None:
    past_run(101, lambda n: n)
    flight = preflight(QUESTIONS, [hosted(max_tokens=80)], workers=2)
    assert flight.output_tokens == Span(4 * 10, 4 * 80)  # the 90th of a hundred is above the limit
    assert flight.minutes == Span(pytest.approx(2 * 10 / 60), pytest.approx(2 * 90 / 60))
    assert "101 answers" in flight.basis[0]


def test_answers_that_were_cut_do_not_bound_those_that_may_be_longer() -> None:
    past_run(50, lambda n: 10, finish="length")
    flight = preflight(QUESTIONS, [hosted(max_tokens=80)])
    assert flight.output_tokens == Span(4 * 10, 4 * 80)


def test_a_handful_of_answers_says_nothing() -> None:
    past_run(5, lambda n: 10)
    assert past_answers({"openai/gpt-4o"}) == {}


def test_measured_throughput_says_how_long_it_takes() -> None:
    settings().throughput.mkdir(parents=True)
    machine = {name: hardware()[name] for name in ("processor", "cores")}
    told = {
        "backend": "openai/gpt-4o",
        "machine": machine,
        "measured": "2026-11-20T10:00:00+00:00",
        "points": [
            {"concurrency": 1, "requests_per_second": 1.0, "tokens_per_second": 10.0},
            {"concurrency": 4, "requests_per_second": 2.0, "tokens_per_second": 20.0},
            {"concurrency": 16, "requests_per_second": 3.0, "tokens_per_second": None},
        ],
    }
    (settings().throughput / "a.json").write_text(json.dumps(told))
    (settings().throughput / "b.json").write_text(
        json.dumps({**told, "backend": "x/y", "machine": {**machine, "cores": 4096}})
    )
    (settings().throughput / "c.json").write_text("{half")
    assert list(measured_speeds()) == ["openai/gpt-4o"]

    def minutes(workers: int) -> Span | None:
        return preflight(QUESTIONS, [hosted(max_tokens=300)], workers=workers).minutes

    assert minutes(1) == Span(pytest.approx(4 / 10 / 60), pytest.approx(1200 / 10 / 60))
    assert minutes(8) == Span(pytest.approx(4 / 20 / 60), pytest.approx(1200 / 20 / 60))
    assert minutes(16) == Span(pytest.approx(4 / 3 / 60), pytest.approx(4 / 3 / 60))


def test_a_forecast_shows_itself() -> None:
    own_price("openai/gpt-4o", 2.0, 10.0)
    flight = preflight(QUESTIONS, [hosted(), hosted("llama-cpp/smollm2-135m")])
    shown = flight._repr_html_()
    assert "8 calls (0 cached)" in str(flight)
    assert "\n" not in str(flight)
    assert shown.count("<tr>") == 3
    assert "prices.toml" in shown


def test_a_question_that_cannot_be_asked_is_told_and_not_counted() -> None:
    empty = Question("empty", "summarize", "")
    flight = preflight([*QUESTIONS, empty], [hosted()])
    assert flight.unaskable == ("empty",)
    assert flight.output_tokens.low == 4
    assert "empty" in flight.basis[-1]


# --- the batch -------------------------------------------------------------------------


def run(solvers: list, questions: list[Question] = QUESTIONS, **options: object) -> Batch:
    options = {"confirm": lambda flight: True, **options}
    return finish(run_batch(questions, solvers, {"task": "generate"}, **options))


def test_results_are_stored_as_they_come_and_summed_up_at_the_end() -> None:
    half = replace(DONE, finish_reason="broken", cost=None)
    reused = replace(DONE, cached=True, cost=99.0)
    solvers = [
        Fake("good"),
        Fake("bad", breaks(BrokenOff("Cut.", partial=half))),
        Fake("kept", lambda question: iter([answered(reused)])),
        Fake("no", lambda question: iter([answered(replace(DONE, finish_reason="refused"))])),
    ]
    progress = run_batch(QUESTIONS, solvers, {}, samples=2, confirm=lambda flight: True)
    steps: list[BatchProgress] = []
    for step in progress:
        steps.append(step)
        if step.result is not None and step.run is not None and step.batch is None:
            stored = [result for _, result in Store(settings().runs).results(step.run)]
            assert step.result in stored
    last = steps[-1]
    assert (last.done, last.total, last.errors, last.usd) == (32, 32, 8, pytest.approx(4.0))
    assert last.batch is not None
    good, bad, kept, no = last.batch.summary
    assert (good.answered, good.errors, good.usd, good.seconds) == (8, 0, 2.0, 4.0)
    assert (good.input_tokens, good.output_tokens) == (80, 40)
    assert (bad.answered, bad.errors, bad.partial, bad.usd) == (0, 8, 8, None)
    assert (kept.cached, kept.usd, kept.seconds) == (8, 0.0, 0.0)
    assert (no.answered, no.refused) == (8, 8)


def test_a_batch_shows_itself_as_table_frame_and_json() -> None:
    batch = run([Fake("good"), Fake("bad", breaks(BackendError("<no>")))], samples=2)
    assert list(batch.df["sample"]) == [0, 1] * 8
    assert list(batch.df["solver"]) == ["good"] * 8 + ["bad"] * 8
    told = json.loads(batch.to_json())
    assert (told["run"], len(told["results"])) == (batch.run, 16)
    assert told["summary"][0]["answered"] == 8
    assert batch.run in batch._repr_html_()
    assert batch._repr_html_().count("<tr>") == 3


def test_the_same_batch_goes_on_where_it_was_closed() -> None:
    first = Fake("a")
    progress = run_batch(QUESTIONS, [first], {"task": "generate"}, confirm=lambda flight: True)
    step = next(progress)
    while step.done < 2:
        step = next(progress)
    progress.close()

    second = Fake("a")
    batch = run([second])
    assert batch.run == step.run
    asked = [line for line in second.log if line.startswith("a ")]
    assert asked == ["a q2", "a q3"]
    assert [one.question_id for one in batch.results] == ["q0", "q1", "q2", "q3"]

    third = Fake("a")
    assert run([third]).results == batch.results
    assert third.log == []


def test_errors_are_tried_again_and_answers_are_not() -> None:
    def moody(question: Question) -> Iterator[Event]:
        if question.id in ("q1", "q2"):
            raise BackendError("503")
        yield answered()

    first = run([Fake("a", moody)])
    fake = Fake("a")
    second = run([fake])
    assert (first.errors, second.errors, second.run) == (2, 0, first.run)
    assert [line for line in fake.log if line.startswith("a ")] == ["a q1", "a q2"]


@pytest.mark.parametrize(
    "change",
    [
        {"again": True},
        {"samples": 2},
        {"questions": [*QUESTIONS[:3], replace(QUESTIONS[3], text="subtract")]},
        {"solvers": [Fake("b")]},
    ],
)
def test_another_batch_is_another_run(change) -> None:
    first = run([Fake("a")])
    second = run(**{"solvers": [Fake("a")], **change})
    assert second.run != first.run
    assert second.errors == 0


def test_whoever_ran_out_of_budget_goes_on_with_a_larger_one() -> None:
    runs = {
        finish(run_batch(QUESTIONS, [Fake("a")], {"budget": usd}, confirm=lambda flight: True)).run
        for usd in (None, 0.5, 1.0)
    }
    assert len(runs) == 1


def test_where_it_may_cost_a_person_is_asked_before_anything_begins() -> None:
    asked: list[Preflight] = []

    def no(flight: Preflight) -> bool:
        asked.append(flight)
        return False

    fake = Fake("a")  # its price is unknown
    with pytest.raises(Cancelled, match="not begun"):
        run([fake], confirm=no)
    with pytest.raises(BadInput, match="--yes"):
        run([fake], confirm=None)
    assert [flight.calls for flight in asked] == [4]
    assert fake.log == []
    assert Store(settings().runs).runs() == []


def test_nobody_is_asked_below_the_limit_or_where_nothing_is_left() -> None:
    own_price("fake/*", 0.0, 0.0)
    batch = run([Fake("fake/a")], confirm=None)
    assert batch.errors == 0
    own_price("fake/*", 1000.0, 1000.0)
    assert run([Fake("fake/a")], confirm=None).run == batch.run


def test_the_bar_tells_how_far_it_is_with_errors_and_money() -> None:
    heard: list[tuple[float, float | None, str]] = []
    texts: list[str] = []

    def failing(question: Question) -> Iterator[Event]:
        if question.id == "q3":
            raise BackendError("503")
        yield answered()

    with heard_by(lambda done, total, what, unit: heard.append((done, total, what))):
        for step in run_batch(QUESTIONS, [Fake("a", failing)], {}, confirm=lambda flight: True):
            texts.append(str(step))
    assert {what for _, _, what in heard} >= {"Reckoning", "Answering"}
    assert all(total == 4 for _, total, what in heard if what == "Answering")
    assert (texts[0], texts[-1]) == ("0 errors, 0 USD", "1 errors, 0.75 USD")


def test_a_batch_over_real_calls_is_cached_whole_and_resumes_past_its_budget() -> None:
    with fake_server() as server:
        name = f"openai-compatible/echo@{server.url}/v1"
        own_price(name, 1000.0, 1000.0)  # 0.1 cent a token
        spec = RunSpec(panes=(Pane(name),), params=(("max_tokens", 50),))

        def batch(spec: RunSpec, **options: object) -> Batch:
            done = run_batch(QUESTIONS, spec.solvers(), asdict(spec), **options)
            return finish(done)

        with pytest.raises(BadInput, match="which is more than"):
            batch(spec)
        poor = batch(replace(spec, budget=0.01), confirm=lambda flight: True)
        assert (poor.errors, server.requests) == (4, [])
        rich = batch(replace(spec, budget=1000.0), confirm=lambda flight: True)
        (row,) = rich.summary
        assert (rich.run, rich.errors, row.cached, len(server.requests)) == (poor.run, 0, 0, 4)
        assert row.usd == pytest.approx((row.input_tokens + row.output_tokens) / 1000)

        # Everything is in the cache now: nothing can cost, so nobody is asked.
        again = batch(spec, again=True)
        (row,) = again.summary
        assert (again.errors, row.cached, row.usd, len(server.requests)) == (0, 4, 0.0, 4)
        assert [one.answer.raw for one in again.results] == [one.answer.raw for one in rich.results]


def test_a_notebook_is_told_before_what_a_batch_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = preflight(QUESTIONS, [hosted("llama-cpp/smollm2-135m")])
    batch = Batch("run", (), (), ())

    def states() -> Iterator[BatchProgress]:
        yield BatchProgress(flight, 4)
        yield BatchProgress(flight, 4, batch=batch)

    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert finish(states()) == batch
    assert capsys.readouterr().out == f"{flight}\n"
    monkeypatch.delitem(sys.modules, "ipykernel")
    finish(states())
    assert "".join(capsys.readouterr()) == ""  # nobody watches


@pytest.mark.parametrize(
    ("questions", "solvers"),
    [([], [Fake("a")]), (QUESTIONS, []), ([QUESTIONS[0], QUESTIONS[0]], [Fake("a")])],
)
def test_a_batch_that_asks_nothing_or_twice_is_refused(questions, solvers) -> None:
    with pytest.raises(BadInput):
        run(solvers, questions)


CHILD = """
import sys
from test_batch import Fake, QUESTIONS, answered, finish, run_batch
import time
def slow(question):
    print(question.id, flush=True)
    if question.id == "q2":
        time.sleep(600)
    yield answered()
finish(run_batch(QUESTIONS, [Fake("a", slow)], {"task": "generate"}, confirm=lambda f: True))
"""


def test_a_killed_batch_keeps_what_was_finished_and_resumes() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert child.stdout is not None
    assert [child.stdout.readline().strip() for _ in range(3)] == ["q0", "q1", "q2"]
    (row,) = Store(settings().runs).runs()
    until = time.monotonic() + PATIENCE
    while len(list(Store(settings().runs).results(row.id))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    child.kill()
    assert child.wait(PATIENCE) == -signal.SIGKILL

    fake = Fake("a")
    batch = run([fake])
    assert batch.run == row.id
    assert [line for line in fake.log if line.startswith("a ")] == ["a q2", "a q3"]
    assert len(batch.results) == 4


# --- the file and the command ----------------------------------------------------------


def test_a_text_file_is_a_prompt_a_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("add two numbers\r\n\n  größer\u2028als 🙂 \n", encoding="utf-8")
    questions = read_prompts(file, RunSpec(target_language="java"))
    assert [(one.id, one.text, one.target_language) for one in questions] == [
        ("line-1", "add two numbers", "java"),
        ("line-3", "größer\u2028als 🙂", "java"),
    ]


def test_json_lines_say_more_and_the_command_says_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    lines = [
        {"text": "add"},
        {"id": 7, "text": "x = 1", "task": "summarize", "language": "py"},
        {"id": "t", "text": "x = 1", "task": "translate", "language": "python",
         "target_language": "go"},
    ]  # fmt: skip
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    one, two, three = read_prompts(file, RunSpec())
    assert (one.id, one.task, one.target_language) == ("line-1", "generate", "python")
    assert (two.id, two.task, two.language) == ("7", "summarize", "python")
    assert (three.id, three.task, three.target_language) == ("t", "translate", "go")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("\n\n", "no prompt"),
        ('{"text": "a"}\n{"text": }', "Line 2"),
        ('{"text": "a"}\n["b"]', "Line 2"),
        ('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "Line 2.*id a"),
        ('{"text": "a", "max_tokens": "5"}', "max_tokens is no field"),
        ('{"text": 5}', "text is no text"),
        ('{"text": "a", "task": "sing"}', "Line 1.*sing"),
        ('{"text": "a", "language": "klingon"}', "Line 1.*klingon"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, cause: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=cause):
        read_prompts(file, RunSpec())


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_prompts(tmp_path / "none.txt", RunSpec())
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_prompts(tmp_path / "bytes.txt", RunSpec())


app = typer.Typer()
app.command()(batch_command)


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    """Record an answer to one of two prompts and return the backend that replays it."""
    from workbench.backends.replay import Recorder

    question = replace(RunSpec(text="add").question(), id="x")
    prompt = load_task("generate").render(question, ())
    file = tmp_path / "recording.jsonl"
    list(Recorder(Model(), file).stream(prompt, load_task("generate").params))
    (tmp_path / "prompts.txt").write_text("add\nnever recorded\n")
    return f"replay/{file}"


def test_the_command_prints_the_summary_and_exits_with_1_where_a_call_failed(
    recorded: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, [str(tmp_path / "prompts.txt"), "--backend", recorded, "--json"])
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert [one["error"] is None for one in told["results"]] == [True, False]
    assert "2 calls" in done.stderr

    (tmp_path / "prompts.txt").write_text("add\n")
    done = CliRunner().invoke(app, [str(tmp_path / "prompts.txt"), "--backend", recorded])
    assert done.exit_code == 0, done.output
    assert "Stored as run" in done.stdout


def test_without_a_terminal_the_command_does_not_spend_what_nobody_agreed_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "prompts.txt").write_text("add\n")
    name = "openai-compatible/m@http://localhost:1/v1"
    done = CliRunner().invoke(app, [str(tmp_path / "prompts.txt"), "--backend", name])
    assert isinstance(done.exception, BadInput)
    assert done.exception.exit_code == 2
    assert "--yes" in done.exception.remedy
    assert "is unknown" in str(done.exception)
