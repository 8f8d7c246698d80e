"""Throughput: really concurrent, errors apart, nothing kept of what was stopped."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer import Typer
from typer.testing import CliRunner

from workbench.backends.prices import price_of
from workbench.cancel import cancelled, cancelled_by
from workbench.cli.cost import throughput as command
from workbench.cost import OwnGpu, Throughput, load_throughput, throughput
from workbench.cost.cases import Case, worked_example
from workbench.cost.prompts import PROMPTS
from workbench.cost.throughput import list_throughputs
from workbench.errors import BackendError, BadInput, Cancelled, DeadlineExceeded, OverBudget
from workbench.progress import heard_by
from workbench.settings import settings
from workbench.types import Backend, Capabilities, Completion, Prompt, SamplingParams, Token

NAME = "replay/recorded.jsonl"


class Fake:
    """Answers after ``seconds``, so many at a time as ask; fails where ``fails`` says so."""

    def __init__(
        self,
        seconds: float = 0.01,
        fails: Callable[[int], bool] = lambda number: False,
        tokens: int | None = 4,
        slots: int = 64,
    ) -> None:
        self.seconds, self.fails, self.tokens = seconds, fails, tokens
        self.slots = threading.Semaphore(slots)
        self.prompts: list[str] = []
        self.most = self.running = 0
        self.lock = threading.Lock()

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        with self.lock:
            self.prompts.append(prompt.messages[0].content)
            number = len(self.prompts)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            with self.slots:
                last = time.monotonic() + self.seconds
                yield Token("a")
                while time.monotonic() < last and not cancelled():
                    time.sleep(0.001)
            if self.fails(number):
                raise BackendError("The server refused.")
            finish = "cancelled" if cancelled() else "stop"
            yield Completion("abcd", 10, self.tokens, self.seconds, 0.0, finish, NAME)
        finally:
            with self.lock:
                self.running -= 1


Measuring = Callable[[Backend], None]


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    """Let this backend be measured, under a name that needs no weights."""
    module = importlib.import_module("workbench.cost.throughput")

    def use(backend: Backend) -> None:
        monkeypatch.setattr(module, "lease_backend", lambda name: contextlib.nullcontext(backend))

    monkeypatch.setattr(module, "check_backend", lambda name: ("replay", name))
    return use


def test_so_many_requests_are_under_way_at_a_time(measuring: Measuring) -> None:
    for concurrency in (1, 3):
        fake = Fake()
        measuring(fake)
        list(throughput(NAME, [concurrency], requests=6, repeats=1))
        assert fake.most == concurrency


class Clocked:
    """Answers by a clock of its own, which no busy machine slows down.

    First comes the warm-up; then 8 requests one by one, and 8 of which 4 meet before they are
    answered: ``together`` in a tenth of a second, or one after the other in a tenth each.
    """

    def __init__(self, together: bool) -> None:
        self.together = together
        self.asked = itertools.count()
        self.lock = threading.Lock()
        self.meeting = threading.Barrier(4, timeout=60)
        self.now = 0.0

    def answer(self) -> None:
        with self.lock:
            self.now += 0.1

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        with self.lock:
            at_once = next(self.asked) > 8
        met = self.meeting.wait() if at_once else 0
        if met == 0 or not self.together:
            self.answer()
        if at_once and self.together:
            self.meeting.wait()  # until it has been answered
        yield Completion("abcd", 10, 4, 0.1, None, "stop", NAME)


@pytest.fixture
def clocked(measuring: Measuring, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Throughput]:
    """Measure a ``Clocked`` at 1 and at 4 requests at a time."""

    def measure(together: bool) -> Throughput:
        fake = Clocked(together)
        measuring(fake)
        clock = SimpleNamespace(perf_counter=lambda: fake.now, monotonic=time.monotonic)
        monkeypatch.setattr(importlib.import_module("workbench.cost.throughput"), "time", clock)
        *_, measured = throughput(NAME, [1, 4], requests=8, repeats=1)
        return measured

    return measure


def test_what_answers_in_parallel_answers_more_and_what_does_not_waits(
    clocked: Callable[[bool], Throughput],
) -> None:
    wide = clocked(True)
    assert [point.requests_per_second for point in wide.points] == pytest.approx([10, 40])
    assert wide.points[1].latency_p95 == pytest.approx(0.1)
    assert wide.best.concurrency == 4
    narrow = clocked(False)
    assert [point.requests_per_second for point in narrow.points] == pytest.approx([10, 10])
    assert narrow.points[0].latency_p95 == pytest.approx(0.1)
    assert narrow.points[1].latency_p95 > 0.2


def test_rates_are_counts_by_time_and_the_warm_up_is_in_none(measuring: Measuring) -> None:
    fake = Fake(0.02)
    measuring(fake)
    *_, measured = throughput(NAME, [2], requests=4, repeats=3)
    (point,) = measured.points
    assert len(fake.prompts) == 1 + 3 * 4
    assert point.requests == 12
    assert point.requests_per_second == pytest.approx(12 / point.seconds)
    assert point.tokens_per_second == pytest.approx(4 * 12 / point.seconds)
    assert point.input_tokens_per_second == pytest.approx(10 * 12 / point.seconds)
    assert len(point.repeats) == 3
    assert sum(one.seconds for one in point.repeats) == pytest.approx(point.seconds)
    assert 0.02 <= point.latency_p50 <= point.latency_p95
    assert point.first_token_p50 <= point.latency_p50


def test_errors_are_counted_and_not_averaged_in(measuring: Measuring) -> None:
    measuring(Fake(0.02, fails=lambda number: number > 1 and number % 2 == 0))
    *_, measured = throughput(NAME, [1], requests=10, repeats=1)
    (point,) = measured.points
    assert (point.requests, point.errors) == (5, 5)
    assert point.requests_per_second == pytest.approx(5 / point.seconds)
    assert point.tokens_per_second == pytest.approx(5 * 4 / point.seconds)


def test_the_times_of_errors_are_not_averaged_in(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Reading):
        def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
            self.prompts.append("")
            failing = len(self.prompts) % 2 == 0
            self.now += 9.0 if failing else 0.5
            yield Token("a")
            if failing:
                raise BackendError("The server refused.")
            self.now += 0.25
            yield Completion("a", 10, 4, 1.0, 0.0, "stop", NAME)

    fake = Failing()
    measuring(fake)
    clock = SimpleNamespace(perf_counter=lambda: fake.now, monotonic=time.monotonic)
    monkeypatch.setattr(importlib.import_module("workbench.cost.throughput"), "time", clock)
    *_, measured = throughput(NAME, [1], requests=10, repeats=1)
    (point,) = measured.points
    assert (point.errors, point.seconds) == (5, pytest.approx(5 * 9.75))
    assert point.latency_p50 == point.latency_p95 == pytest.approx(0.75)
    assert point.first_token_p50 == pytest.approx(0.5)


def test_where_nothing_is_answered_there_are_no_times_and_no_best(measuring: Measuring) -> None:
    measuring(Fake(0.001, fails=lambda number: number > 1))
    *_, measured = throughput(NAME, [1], requests=3, repeats=1)
    (point,) = measured.points
    assert (point.requests, point.errors, point.requests_per_second) == (0, 3, 0.0)
    assert point.latency_p50 is point.tokens_per_second is point.first_token_p50 is None
    with pytest.raises(BadInput, match="answered no request"):
        _ = measured.best
    with pytest.raises(BadInput):
        Case(1.0, usd_per_request=0.1, throughput=NAME).break_even()


def test_a_warm_up_that_fails_says_why(measuring: Measuring) -> None:
    measuring(Fake(fails=lambda number: True))
    with pytest.raises(BackendError, match="The server refused"):
        list(throughput(NAME, [1], requests=1))
    assert not list_throughputs()


def test_uncounted_tokens_are_unknown_and_not_zero(measuring: Measuring) -> None:
    measuring(Fake(tokens=None))
    *_, measured = throughput(NAME, [1], requests=2, repeats=1)
    assert measured.points[0].tokens_per_second is None
    assert measured.points[0].input_tokens_per_second is not None


def test_no_two_requests_begin_alike_and_short_and_long_ones_mix(measuring: Measuring) -> None:
    fake = Fake(0.0)
    measuring(fake)
    list(throughput(NAME, [1, 2], requests=8, repeats=2))
    heads = {prompt.splitlines()[0] for prompt in fake.prompts}
    assert len(heads) == len(fake.prompts) == 1 + 2 * 2 * 8
    lengths = sorted(len(text) for text in PROMPTS)
    assert lengths[-1] > 10 * lengths[0]


def test_own_prompts_can_be_measured(measuring: Measuring) -> None:
    fake = Fake(0.0)
    measuring(fake)
    *_, measured = throughput(NAME, [1], requests=3, repeats=1, prompts=["mine"])
    assert all(prompt.endswith("mine") for prompt in fake.prompts)
    assert measured.prompts == {"count": 1, "characters": [4], "max_tokens": 64}


# --- money ---------------------------------------------------------------------------


def test_what_may_cost_more_than_the_limit_is_asked_for_first(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(0.0)
    measuring(fake)
    monkeypatch.setenv("WORKBENCH_ASK_ABOVE", "0.01")
    price = price_of("openai/gpt-4o")
    assert price is not None
    with pytest.raises(BadInput, match="may cost") as caught:
        next(throughput("openai/gpt-4o", [1], requests=16, repeats=1))
    assert "--yes" in caught.value.remedy
    with pytest.raises(BadInput, match="unknown"):
        next(throughput("mistral/nobody-knows", [1], requests=16, repeats=1))
    assert not fake.prompts
    list(throughput("openai/gpt-4o", [1], requests=16, repeats=1, yes=True))
    list(throughput("openai/gpt-4o", [1], requests=1, repeats=1, max_tokens=1, prompts=["x"]))
    list(throughput("ollama/mine", [1], requests=1, repeats=1))
    assert len(fake.prompts) == 17 + 2 + 2


def test_the_budget_holds_and_ends_the_measurement(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    home.mkdir()
    (home / "prices.toml").write_text('["openai/mine"]\ninput = 0\noutput = 1000\n')
    monkeypatch.setenv("WORKBENCH_BUDGET", "0.0205")  # five answers of 4 tokens, and a little
    fake = Fake(0.0)
    fake.name = "openai/mine"
    measuring(fake)
    with pytest.raises(OverBudget):
        list(throughput("openai/mine", [1], requests=16, repeats=1, max_tokens=4))
    assert len(fake.prompts) == 5
    assert not list_throughputs()


# --- stopping --------------------------------------------------------------------------


def test_it_is_yielded_as_it_grows_and_kept_when_it_is_whole(measuring: Measuring) -> None:
    measuring(Fake(0.001))
    states = throughput(NAME, [1, 2], requests=2, repeats=1)
    assert len(next(states).points) == 1
    assert not list_throughputs()
    whole = next(states)
    assert load_throughput(NAME) == whole
    with pytest.raises(StopIteration):
        next(states)


def test_closing_stops_the_requests_and_keeps_nothing(measuring: Measuring) -> None:
    fake = Fake(0.001)
    measuring(fake)
    states = throughput(NAME, [1, 2], requests=2, repeats=1)
    next(states)
    states.close()
    assert not settings().throughput.exists()


def test_a_cancelled_measurement_stops_a_slow_backend(measuring: Measuring) -> None:
    fake = Fake(600, slots=8)
    measuring(fake)
    fake.seconds = 0.0
    stop = threading.Event()
    states = throughput(NAME, [1, 2], requests=4, repeats=1)
    with cancelled_by(stop):
        next(states)
        fake.seconds = 600
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Cancelled):
            next(states)
    deadline = time.monotonic() + 60
    while fake.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fake.running == 0
    assert not list_throughputs()


def test_a_backend_that_hangs_is_given_up(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(0.0)
    measuring(fake)
    states = throughput(NAME, [1, 2], requests=2, repeats=1)
    next(states)
    fake.seconds = 600
    monkeypatch.setenv("WORKBENCH_CALL_TIMEOUT", "0.3")
    with pytest.raises(DeadlineExceeded, match=r"within 0\.3 seconds"):
        next(states)


def test_its_bar_counts_every_request(measuring: Measuring) -> None:
    measuring(Fake(0.001))
    told: list[tuple[float, float | None]] = []
    with heard_by(lambda done, total, what, unit: told.append((done, total))):
        list(throughput(NAME, [1, 2], requests=3, repeats=2))
    assert all(total == 1 + 2 * 2 * 3 for _, total in told)
    assert told[-1][0] <= 13


# --- where it is kept ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        "openai-compatible/a/b@http://127.0.0.1:8000/v1",
        "replay/../../../x",
        "replay/" + "é" * 300,
    ],
)
def test_any_name_is_a_file_in_the_folder(name: str, measuring: Measuring) -> None:
    measuring(Fake(0.0))
    *_, measured = throughput(name, [1], requests=1, repeats=1)
    (file,) = settings().throughput.iterdir()
    assert file.parent == settings().throughput
    assert load_throughput(name) == measured


def test_names_that_are_written_alike_are_kept_apart(measuring: Measuring) -> None:
    measuring(Fake(0.0))
    for name in ("replay/a-b", "replay/a/b"):
        list(throughput(name, [1], requests=1, repeats=1))
    assert [one.backend for one in list_throughputs()] == ["replay/a-b", "replay/a/b"]


def test_the_file_says_what_was_measured(measuring: Measuring) -> None:
    measuring(Fake(0.0))
    list(throughput(NAME, [1], requests=2, repeats=2))
    (file,) = settings().throughput.iterdir()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) == {"backend", "machine", "measured", "prompts", "points"}
    assert set(found["points"][0]) == {
        "concurrency",
        "requests",
        "errors",
        "seconds",
        "requests_per_second",
        "tokens_per_second",
        "input_tokens_per_second",
        "latency_p50",
        "latency_p95",
        "first_token_p50",
        "reading_share",
        "repeats",
    }
    assert found["machine"]["processor"]


def test_another_machine_was_not_measured(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(Fake(0.0))
    list(throughput(NAME, [1], requests=1, repeats=1))
    module = importlib.import_module("workbench.cost.throughput")
    monkeypatch.setattr(module, "this_machine", lambda: {"processor": "another"})
    with pytest.raises(BadInput, match=f"workbench throughput {NAME}"):
        load_throughput(NAME)
    assert list_throughputs() == []


def test_a_damaged_file_is_no_measurement(measuring: Measuring) -> None:
    measuring(Fake(0.0))
    list(throughput(NAME, [1], requests=1, repeats=1))
    (file,) = settings().throughput.iterdir()
    file.write_text(file.read_text(encoding="utf-8")[:100], encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be read"):
        load_throughput(NAME)
    assert list_throughputs() == []


@pytest.mark.parametrize(
    "options",
    [
        {"concurrencies": []},
        {"concurrencies": [0]},
        {"concurrencies": [2, 2]},
        {"requests": 0},
        {"requests": 3, "concurrencies": [4]},
        {"max_tokens": 0},
        {"repeats": 0},
        {"prompts": []},
        {"prompts": [" "]},
    ],
)
def test_bad_numbers_are_refused_before_anything_is_asked(
    options: dict[str, object], measuring: Measuring
) -> None:
    fake = Fake()
    measuring(fake)
    with pytest.raises(BadInput):
        next(throughput(NAME, **options))  # type: ignore[arg-type]
    assert not fake.prompts


# --- what it is for --------------------------------------------------------------------


def test_a_measured_speed_makes_the_break_even(measuring: Measuring) -> None:
    measuring(Fake(0.02))
    on_paper = len(worked_example())
    *_, measured = throughput(NAME, [1, 2], requests=4, repeats=3)
    one = Case(4.05, 2, usd_per_request=0.025, throughput=NAME).break_even()
    rates = [3600 * repeat.requests_per_second for repeat in measured.best.repeats]
    assert one.gpu == OwnGpu(4.05, 2, tuple(rates))
    assert one.capacity_interval is not None
    assert min(rates) * 0.999 <= one.capacity_interval.low <= one.capacity
    told = Case(
        4.05, 2, 0.025, throughput=NAME, input_tokens=10, output_tokens=4, concurrency=2
    ).break_even()
    # The tokens of each request are those that were measured, so its speed is, too.
    same = [3600 * repeat.requests_per_second for repeat in measured.at(2).repeats]
    assert told.capacity == pytest.approx(sum(same) / 3)
    with pytest.raises(BadInput, match="not measured at 7"):
        Case(4.05, 2, 0.025, throughput=NAME, concurrency=7).break_even()
    for rows in (worked_example(), worked_example(NAME)):
        assert [title for title, _ in rows[on_paper:]] == [
            f"measured here: {NAME}, {used} used" for used in ("100%", "60%")
        ]
        assert rows[on_paper][1].crossover == one.crossover


def test_the_speed_of_others_is_that_of_no_own_gpu(measuring: Measuring) -> None:
    measuring(Fake(0.0))
    before = len(worked_example())
    list(throughput("openai/gpt-4o", [1], requests=1, repeats=1, yes=True))
    assert len(worked_example()) == before
    with pytest.raises(BadInput, match="answers elsewhere"):
        Case(4.05, usd_per_request=0.025, throughput="openai/gpt-4o").break_even()


def test_the_command_measures_and_its_picture_has_a_point_a_concurrency(
    measuring: Measuring,
) -> None:
    measuring(Fake(0.001))
    app = Typer()
    app.command()(command)
    arguments = [NAME, "--concurrency", "1", "--concurrency", "4", "--requests", "4"]
    done = CliRunner().invoke(app, [*arguments, "--max-tokens", "8", "--json"])
    assert done.exit_code == 0, done.output
    assert [point["concurrency"] for point in json.loads(done.stdout)["points"]] == [1, 4]
    assert list(load_throughput(NAME).figure().data[0].x) == [1, 4]
    shown = CliRunner().invoke(app, [*arguments, "--repeats", "2"])
    assert "errors" in shown.stdout
    measuring(Fake(0.001, fails=lambda number: number == 3))
    assert CliRunner().invoke(app, arguments).exit_code == 1


class Reading(Fake):
    """Takes 0.1 ms a token in and 2 ms a token out, on a clock of its own."""

    now = 0.0

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        tokens_in, tokens_out = len(prompt.messages[0].content), 5 + len(self.prompts) % 7
        self.prompts.append("")
        self.now += tokens_in * 1e-4 + 2e-3
        yield Token("a")
        self.now += (tokens_out - 1) * 2e-3
        yield Completion("a", tokens_in, tokens_out, 1.0, 0.0, "stop", NAME)


def test_what_a_token_in_and_out_takes_is_told_apart(
    measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Reading()
    measuring(fake)
    clock = SimpleNamespace(perf_counter=lambda: fake.now, monotonic=time.monotonic)
    monkeypatch.setattr(importlib.import_module("workbench.cost.throughput"), "time", clock)
    *_, measured = throughput(NAME, [1], requests=14, repeats=1)
    (point,) = measured.points
    assert point.reading_share == pytest.approx(1e-4 * point.input_tokens_per_second)
    # Requests quite unlike those that were measured.
    for tokens in ((20, 60), (900, 5)):
        named = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        one = Case(4.05, 2, 0.025, throughput=NAME, **named).break_even()
        assert 3600 / one.capacity == pytest.approx(tokens[0] * 1e-4 + tokens[1] * 2e-3)


@pytest.mark.parametrize("tokens", [None, 1])
def test_where_it_cannot_be_told_it_is_not(tokens: int | None, measuring: Measuring) -> None:
    measuring(Fake(0.001, tokens=tokens))
    *_, measured = throughput(NAME, [1], requests=4, repeats=1)
    assert measured.reading_share is None


def test_what_comes_at_once_does_not_tell_reading_from_writing(measuring: Measuring) -> None:
    fake = Fake(0.001)
    fake.capabilities = Capabilities(streaming=False)
    measuring(fake)
    *_, measured = throughput(NAME, [1], requests=4, repeats=1)
    assert measured.reading_share is None


@pytest.mark.models
def test_a_real_model_is_measured(models_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "2048")
    name = "llama-cpp/smollm2-135m"
    *_, measured = throughput(
        name, [1, 2], requests=2, max_tokens=4, repeats=1, prompts=["Write a loop."]
    )
    assert [(point.requests, point.errors) for point in measured.points] == [(2, 0), (2, 0)]
    assert all(point.tokens_per_second for point in measured.points)
    assert load_throughput(name) == measured
