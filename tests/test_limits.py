"""Deadlines, retries, rates and fallbacks, on a backend that does what its script says."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import pytest
from punctual import Stopwatch

from workbench.backends import guarded as guarding
from workbench.backends import rates
from workbench.backends.fallback import with_fallback
from workbench.backends.guarded import guarded
from workbench.backends.limits import Clock, Limits
from workbench.backends.rates import Gate, gate_of
from workbench.backends.streaming import Transcript
from workbench.backends.wrapping import identity_of
from workbench.cancel import cancelled, cancelled_by
from workbench.errors import (
    BackendError,
    BadInput,
    BrokenOff,
    Cancelled,
    DeadlineExceeded,
    MissingKey,
    OverBudget,
    WorkbenchError,
)
from workbench.types import (
    Capabilities,
    Completion,
    CountsTokens,
    Message,
    Prompt,
    SamplingParams,
    Sent,
    Token,
)

PROMPT = Prompt((Message("user", "Say it."),), "test")
PARAMS = SamplingParams(max_tokens=8)
FAST = Limits(attempts=4, first_backoff=0.01, longest_backoff=0.02)
SENT = Sent(PROMPT.messages, {"max_tokens": 8})
Step = str | float | Exception | Callable[[], object]


class Scripted:
    """Plays one list of steps a call: yields a text, waits so many seconds, raises, or calls."""

    def __init__(self, *calls: list[Step], name: str = "", local: bool = False) -> None:
        # A provider of its own, so that no test waits for another's calls.
        self.name = name or f"scripted-{id(self)}/model"
        self.capabilities = Capabilities(local=local)
        self.identity = "scripted"
        self._calls = list(calls)
        self.times: list[float] = []
        self.closed = threading.Event()
        self.running = self.most_running = 0
        self._lock = threading.Lock()

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        with self._lock:
            self.times.append(time.monotonic())
            steps = self._calls[min(len(self.times), len(self._calls)) - 1]
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        transcript = Transcript(self.name, SENT)
        try:
            for step in steps:
                if isinstance(step, str):
                    yield transcript.token(step)
                elif isinstance(step, Exception):
                    raise step
                elif callable(step):
                    step()
                elif not nap(step):
                    break
            yield transcript.completion("cancelled" if cancelled() else "stop", 5, 2)
        finally:
            with self._lock:
                self.running -= 1
            self.closed.set()


def nap(seconds: float) -> bool:
    clock = Clock(seconds)
    while clock.left and not cancelled():
        time.sleep(0.01)
    return not cancelled()


def busy(status: int | None = 503, retry_after: float | None = None) -> BackendError:
    return BackendError(
        "The server is busy.", "Wait.", transient=True, status=status, retry_after=retry_after
    )


def ask(backend: Scripted, limits: Limits = FAST, **options) -> Completion:
    return list(guarded(backend, limits=limits, **options).stream(PROMPT, PARAMS))[-1]


@dataclass(frozen=True, slots=True)
class Took:
    """How long a call took: by the wall's clock, and without the machine's own lateness."""

    seconds: float
    own: float


def caught(kind: type[WorkbenchError], work: Callable[[], object]) -> tuple[WorkbenchError, Took]:
    watch = Stopwatch()
    with pytest.raises(kind) as raised:
        work()
    own = watch.own
    return raised.value, Took(watch.seconds, own)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a backend that was stopped the time that a busy machine takes for its last word."""
    monkeypatch.setattr(guarding, "_GRACE", 20.0)


# --- what passes -----------------------------------------------------------------------


def test_a_good_answer_passes_unchanged_but_for_what_it_took():
    backend = Scripted(["one", " two"])
    parts = list(guarded(backend, limits=FAST).stream(PROMPT, PARAMS))
    assert [part.text for part in parts] == ["one", " two", "one two"]
    assert parts[-1].is_complete and parts[-1].sent == SENT
    assert (parts[-1].attempts, parts[-1].cost) == (1, None)


def test_a_guarded_backend_says_of_itself_what_the_inner_one_says():
    class Counting(Scripted):
        context_length = 99

        def count_tokens(self, messages):
            return len(messages)

    backend = Counting(["x"])
    around = guarded(backend, limits=FAST)
    assert isinstance(around, CountsTokens) and around.count_tokens(PROMPT.messages) == 1
    assert not isinstance(guarded(Scripted(["x"])), CountsTokens)
    assert around.name == backend.name and identity_of(around) == "scripted"


def test_the_limits_are_those_of_the_settings(monkeypatch):
    monkeypatch.setenv("WORKBENCH_CALL_TIMEOUT", "7")
    monkeypatch.setenv("WORKBENCH_REQUESTS_PER_MINUTE", "30")
    limits = guarded(Scripted(["x"])).limits
    assert limits == Limits.from_settings()
    assert (limits.call_timeout, limits.requests_per_minute, limits.attempts) == (7, 30, 4)


# --- deadlines -------------------------------------------------------------------------


def test_a_call_deadline_holds_against_a_backend_that_hangs_in_foreign_code():
    hangs = threading.Event()
    backend = Scripted(["half", lambda: hangs.wait(5)])
    error, took = caught(DeadlineExceeded, lambda: ask(backend, Limits(call_timeout=0.5)))
    assert took.seconds >= 0.5 and took.own < 1.5
    assert (error.partial.text, error.partial.finish_reason) == ("half", "broken")
    assert not error.partial.is_complete and not backend.closed.is_set()
    hangs.set()
    assert backend.closed.wait(2), "what was left behind is closed when it returns"


def test_a_call_deadline_holds_against_a_stream_that_never_pauses():
    backend = Scripted(["x", 0.01] * 1000)
    error, took = caught(DeadlineExceeded, lambda: ask(backend, Limits(call_timeout=0.5)))
    assert took.seconds >= 0.5 and took.own < 1.5
    assert error.partial.text.startswith("xxx")
    assert backend.closed.wait(2)


def test_the_partial_answer_keeps_what_was_sent_where_the_backend_can_still_say(patient):
    error, _ = caught(
        DeadlineExceeded, lambda: ask(Scripted(["half", 9.0]), Limits(call_timeout=0.6))
    )
    assert error.partial.sent == SENT and error.partial.text == "half"


@pytest.mark.parametrize("steps", [[9.0], ["half", 9.0]])
def test_a_gap_between_tokens_has_its_deadline_the_first_token_too(steps):
    error, took = caught(DeadlineExceeded, lambda: ask(Scripted(steps), Limits(None, 0.4)))
    assert took.seconds >= 0.4 and took.own < 1.4
    assert (error.partial and error.partial.text) == (steps[0] if len(steps) > 1 else None)


def test_tokens_that_keep_coming_never_miss_the_deadline_of_a_gap():
    backend = Scripted(["x", 0.3] * 5)
    assert ask(backend, Limits(token_timeout=1.0)).text == "xxxxx"


def test_a_local_model_may_read_a_prompt_for_longer_than_a_token_takes():
    assert ask(Scripted([1.2, "x"], local=True), Limits(token_timeout=0.8)).text == "x"
    caught(DeadlineExceeded, lambda: ask(Scripted(["x", 9.0], local=True), Limits(None, 0.2)))
    caught(DeadlineExceeded, lambda: ask(Scripted([9.0], local=True), Limits(0.2, 0.1)))


def test_a_reader_who_pauses_does_not_make_the_backend_late():
    parts = guarded(Scripted(["a", "b"]), limits=Limits(1.0, 1.0)).stream(PROMPT, PARAMS)
    next(parts)
    time.sleep(1.2)
    assert [part.text for part in parts] == ["b", "ab"]


def test_a_missed_deadline_is_not_tried_again():
    own = DeadlineExceeded("Silent for long.", transient=True)
    for steps in ([9.0], [own]):
        backend = Scripted(steps)
        caught(DeadlineExceeded, partial(ask, backend, replace(FAST, token_timeout=0.2)))
        assert len(backend.times) == 1


# --- stopping --------------------------------------------------------------------------


def test_closing_the_stream_ends_the_backend_within_two_seconds():
    backend = Scripted(["x", 60.0])
    parts = guarded(backend, limits=FAST).stream(PROMPT, PARAMS)
    next(parts)
    watch = Stopwatch()
    parts.close()
    assert backend.closed.wait(20) and watch.own < 2


@pytest.mark.parametrize(
    "calls", [[["half", 60.0]], [[60.0]], [[busy(retry_after=60)]], [["half", *["x", 0.01] * 999]]]
)
def test_who_is_cancelled_gets_the_partial_answer_within_two_seconds(calls):
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    watch = Stopwatch()
    with cancelled_by(stop):
        completion = ask(Scripted(*calls))
    assert watch.own < 2
    assert completion.finish_reason == "cancelled" and not completion.is_complete
    assert completion.text.startswith("half") == (calls[0][0] == "half")


def test_a_call_that_waits_for_its_turn_hears_that_it_is_cancelled():
    name = "waiting/model"
    first = guarded(Scripted(["x", 60.0], name=name), limits=Limits(concurrency=1))
    holding = first.stream(PROMPT, PARAMS)
    next(holding)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    second = Scripted(["x"], name=name)
    with cancelled_by(stop):
        completion = ask(second, Limits(concurrency=1))
    assert (completion.finish_reason, second.times) == ("cancelled", [])
    holding.close()
    assert ask(second, Limits(concurrency=1)).text == "x"


# --- retries ---------------------------------------------------------------------------


def test_what_is_transient_is_tried_again_and_the_calls_are_counted():
    backend = Scripted([busy()], [busy(None)], ["x"])
    completion = ask(backend)
    assert (completion.text, completion.attempts, len(backend.times)) == ("x", 3, 3)


def test_there_are_no_more_calls_than_attempts():
    backend = Scripted([busy()])
    error, _ = caught(BackendError, lambda: ask(backend))
    assert len(backend.times) == 4
    assert (error.status, error.transient) == (503, True)
    assert str(error) == "The server is busy. It was asked 4 times. Wait."


@pytest.mark.parametrize(
    "error", [BackendError("Wrong.", status=400), MissingKey("No."), BadInput("No."), ValueError()]
)
def test_nothing_else_is_ever_tried_again(error):
    backend = Scripted([error])
    with pytest.raises(type(error)):
        ask(backend)
    assert len(backend.times) == 1


def test_a_local_backend_is_called_once():
    backend = Scripted([busy()], local=True)
    caught(BackendError, lambda: ask(backend))
    assert len(backend.times) == 1


@pytest.mark.parametrize("error", [busy(), busy(None), ValueError("odd"), BadInput("odd")])
def test_after_the_first_token_a_failure_is_a_broken_answer_and_not_tried_again(error):
    backend = Scripted(["half", error])
    raised, _ = caught(BrokenOff, lambda: ask(backend))
    assert len(backend.times) == 1
    assert (raised.partial.text, raised.partial.finish_reason) == ("half", "broken")
    assert not raised.partial.is_complete


def test_the_partial_answer_of_a_backend_itself_is_kept():
    own = Transcript("m", SENT)
    own.token("half")
    error = BrokenOff("Cut.", partial=own.completion("broken", 5, 1))
    raised, _ = caught(BrokenOff, lambda: ask(Scripted(["half", error])))
    assert (raised.partial.sent, raised.partial.input_tokens) == (SENT, 5)


def test_a_stream_without_a_completion_is_no_answer():
    class Endless(Scripted):
        def stream(self, prompt, params):
            yield Token("half")

    raised, _ = caught(BrokenOff, lambda: ask(Endless()))
    assert raised.partial.text == "half"


def test_no_key_stands_in_the_error_of_a_library(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-123")
    raised, _ = caught(BrokenOff, lambda: ask(Scripted(["x", ValueError("sk-very-secret-123")])))
    assert "secret" not in str(raised)


@pytest.mark.parametrize("asked", [0.0, 0.6])
def test_what_the_server_asks_for_beats_the_jitter(asked):
    backend = Scripted([busy(429, asked)], ["x"])
    watch = Stopwatch()
    ask(backend, replace(FAST, first_backoff=60.0, longest_backoff=60.0))
    assert asked <= backend.times[1] - backend.times[0] and watch.own < asked + 1


def test_waits_are_random_below_a_bound_that_doubles_up_to_the_longest(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(Clock, "sleep", lambda _, seconds: slept.append(seconds))
    limits = Limits(attempts=60, first_backoff=1, longest_backoff=8)
    caught(BackendError, lambda: ask(Scripted([busy()]), limits))
    bounds = [1, 2, 4, *[8] * 56]
    assert all(0 <= wait <= bound for wait, bound in zip(slept, bounds, strict=True))
    assert len(set(slept)) == 59 and min(slept[3:]) < 2 and max(slept[3:]) > 6, "full jitter"


def test_a_wait_that_does_not_fit_into_the_deadline_fails_at_once_and_says_how_long():
    backend = Scripted([busy(429, 600.0)])
    error, took = caught(BackendError, lambda: ask(backend, replace(FAST, call_timeout=5)))
    assert took.own < 0.5 and len(backend.times) == 1
    assert "busy" in error.cause and "in 600 s" in error.cause
    assert error.retry_after == 600


def test_tries_and_waits_count_into_the_deadline_of_the_call():
    backend = Scripted([0.3, busy()])
    limits = Limits(call_timeout=0.8, attempts=99, first_backoff=0.01, longest_backoff=0.01)
    _, took = caught(BackendError, lambda: ask(backend, limits))
    assert took.own < 1.8 and len(backend.times) <= 3


# --- one provider ----------------------------------------------------------------------


def together(work: Callable[[], object], times: int) -> list[object]:
    with ThreadPoolExecutor(times) as pool:
        return [one.result() for one in [pool.submit(work) for _ in range(times)]]


def test_a_provider_is_called_by_no_more_at_a_time_than_allowed():
    shared = threading.Lock()
    running, most = 0, 0

    class Watching(Scripted):
        def stream(self, prompt, params):
            nonlocal running, most
            with shared:
                running += 1
                most = max(most, running)
            yield from super().stream(prompt, params)
            with shared:
                running -= 1

    backends = [Watching(["x", 0.1], name=f"concurrent/{number}") for number in range(2)]
    limits = Limits(concurrency=3)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: ask(backends[number % 2], limits), range(12)))
    assert most == 3


def test_local_backends_are_not_held_back():
    backend = Scripted(["x", 0.2], local=True)
    limits = Limits(concurrency=1, requests_per_minute=1, tokens_per_minute=1)
    together(lambda: ask(backend, limits), 4)
    assert backend.most_running == 4


def test_a_hanging_call_gives_its_place_free():
    hangs = threading.Event()
    name = "hanging/model"
    limits = Limits(call_timeout=0.3, concurrency=1)
    caught(DeadlineExceeded, lambda: ask(Scripted([lambda: hangs.wait(5)], name=name), limits))
    assert ask(Scripted(["x"], name=name), limits).text == "x"
    hangs.set()


def test_a_servers_wish_for_rest_holds_for_all_calls_of_its_provider():
    tired = Scripted([busy(429, 0.6)], ["x"], name="resting/one")
    watch = Stopwatch()
    other = Scripted(["y"], name="resting/two")
    elsewhere = Scripted(["z"], name="awake/one")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, tired)
        while not gate_of("resting/one")._rests_until:
            time.sleep(0.01)
        pool.submit(ask, elsewhere).result()
        awake = watch.own
        pool.submit(ask, other).result()
        first.result()
        rested = watch.own
    assert other.times[0] - tired.times[0] > 0.5 and rested < 1.2
    assert awake < 0.5


def test_a_call_that_could_only_begin_after_its_deadline_fails_at_once():
    gate = gate_of("sleeping/one")
    gate.rest(600)
    backend = Scripted(["x"], name="sleeping/one")
    error, took = caught(DeadlineExceeded, lambda: ask(backend, Limits(call_timeout=5)))
    assert took.own < 0.5 and not backend.times
    assert re.search(r"may be asked in (599|600)\.\d s", error.cause)


def test_servers_of_ones_own_are_providers_by_themselves():
    one, two = "openai-compatible/m@http://localhost:1/v1", "openai-compatible/m@http://localhost:2"
    assert gate_of(one) is gate_of(one.replace("/m@", "/other@")) is not gate_of(two)
    assert gate_of("openai/a") is gate_of("openai/b") is not gate_of("mistral/a")


# --- a minute, made short --------------------------------------------------------------


def begins(gate: Gate, limits: Limits, tokens: float, calls: int) -> list[float]:
    began: list[float] = []

    def call() -> None:
        passed = gate.enter(limits, tokens, Clock(10))
        began.append(time.monotonic())
        passed.leave(tokens)

    together(call, calls)
    return sorted(began)


def test_no_minute_has_more_requests_than_allowed():
    watch = Stopwatch()
    began = begins(Gate("p", window=0.4), Limits(requests_per_minute=3), 1, 10)
    assert watch.own < 1.2 + 0.5
    assert all(later - earlier >= 0.39 for earlier, later in zip(began, began[3:], strict=False))


def test_half_a_request_a_minute_is_one_in_two_minutes():
    began = begins(Gate("p", window=0.2), Limits(requests_per_minute=0.5), 1, 3)
    assert all(later - earlier >= 0.39 for earlier, later in pairwise(began))


def test_no_minute_has_more_tokens_than_allowed():
    began = begins(Gate("p", window=0.4), Limits(tokens_per_minute=100), 40, 6)
    assert all(later - earlier >= 0.39 for earlier, later in zip(began, began[2:], strict=False))


def test_what_was_reserved_and_not_used_is_free_again():
    gate = Gate("p", window=30)
    limits = Limits(tokens_per_minute=100)
    for _ in range(10):
        gate.enter(limits, 90, Clock(20)).leave(1)
    gate.enter(limits, 90, Clock(20)).leave(90)
    with pytest.raises(DeadlineExceeded):
        gate.enter(limits, 90, Clock(0.2))


def test_a_call_waits_for_what_running_ones_may_give_back_before_it_is_refused():
    gate = Gate("p", window=30)
    limits = Limits(tokens_per_minute=100)
    running = gate.enter(limits, 90, Clock(None))
    threading.Timer(0.2, lambda: running.leave(9)).start()
    gate.enter(limits, 90, Clock(20)).leave(90)


def test_a_call_that_no_minute_can_hold_is_refused_with_the_remedy():
    with pytest.raises(BackendError, match="WORKBENCH_TOKENS_PER_MINUTE") as raised:
        Gate("p").enter(Limits(tokens_per_minute=100), 101, Clock(None))
    assert not raised.value.transient


def test_calls_begin_in_the_order_in_which_they_came():
    gate = Gate("p", window=0.3)
    limits = Limits(tokens_per_minute=10)
    gate.enter(limits, 6, Clock(None)).leave(6)
    began: list[str] = []

    def call(who: str, tokens: int) -> None:
        gate.enter(limits, tokens, Clock(None)).leave(tokens)
        began.append(who)

    large = threading.Thread(target=call, args=("large", 9))
    large.start()
    time.sleep(0.05)
    small = threading.Thread(target=call, args=("small", 1))
    small.start()
    large.join()
    small.join()
    assert began == ["large", "small"], "a small one would have fitted first, again and again"


def test_a_guarded_backend_counts_each_try_as_a_request(monkeypatch):
    backend = Scripted([busy()], [busy()], ["x"])
    gate = Gate("p", window=0.4)
    monkeypatch.setitem(rates._gates, backend.name.partition("/")[0], gate)
    ask(backend, replace(FAST, requests_per_minute=1))
    assert all(later - earlier >= 0.39 for earlier, later in pairwise(backend.times))


def test_a_guarded_backend_corrects_the_tokens_by_what_was_used(monkeypatch):
    backend = Scripted(["x"])
    gate = Gate("p")
    monkeypatch.setitem(rates._gates, backend.name.partition("/")[0], gate)
    for _ in range(3):
        ask(backend, Limits(tokens_per_minute=50))
    assert [call.tokens for call in gate._calls] == [7, 7, 7]


def test_a_clock_sleeps_until_it_is_cancelled_and_no_longer_than_it_runs():
    watch = Stopwatch()
    Clock(0.2).sleep(60)
    assert watch.own < 0.5 and watch.seconds >= 0.2
    stop = threading.Event()
    stop.set()
    with cancelled_by(stop), pytest.raises(Cancelled):
        Clock(None).sleep(60)


# --- fallbacks -------------------------------------------------------------------------


def answer(first: Scripted, *others: Scripted | Exception) -> Completion:
    def made(other: Scripted | Exception) -> Callable[[], Scripted]:
        def make() -> Scripted:
            if isinstance(other, Exception):
                raise other
            return other

        return make

    named = [(getattr(other, "name", "none"), made(other)) for other in others]
    return list(with_fallback(first, named).stream(PROMPT, PARAMS))[-1]


@pytest.mark.parametrize("error", [busy(), BackendError("Down."), MissingKey("No key.")])
def test_a_fallback_answers_for_who_cannot_and_is_marked(error):
    first, second = Scripted([error], name="a/1"), Scripted(["x"], name="b/2")
    completion = answer(first, second)
    assert (completion.text, completion.fallback_for, completion.model) == ("x", "a/1", "b/2")


def test_without_a_failure_no_fallback_is_made_and_nothing_marked():
    completion = answer(Scripted(["x"]), ValueError("made"))
    assert (completion.text, completion.fallback_for) == ("x", None)
    backend = Scripted(["x"])
    assert with_fallback(backend, []) is backend


@pytest.mark.parametrize("error", [BadInput("Wrong."), OverBudget("Spent."), ValueError("bug")])
def test_wrong_questions_spent_budgets_and_bugs_are_not_asked_elsewhere(error):
    with pytest.raises(type(error)):
        answer(Scripted([error]), ValueError("made"))


def test_once_a_token_was_read_no_fallback_answers():
    with pytest.raises(BackendError, match="busy"):
        answer(Scripted(["half", busy()]), ValueError("made"))


def test_what_is_cancelled_is_not_asked_elsewhere():
    stop = threading.Event()
    stop.set()
    with cancelled_by(stop), pytest.raises(BackendError, match="busy"):
        answer(Scripted([busy()]), ValueError("made"))


def test_fallbacks_are_asked_in_their_order_and_the_error_tells_of_all():
    third = Scripted(["x"], name="c/3")
    completion = answer(Scripted([busy()], name="a/1"), MissingKey("No key."), third)
    assert (completion.text, completion.fallback_for) == ("x", "a/1")
    error, _ = caught(
        BackendError, lambda: answer(Scripted([busy()]), Scripted([busy(500)], name="b/2"))
    )
    assert str(error) == "The server is busy. Its fallback b/2: The server is busy. Wait."
    assert error.status == 503


def test_closing_a_fallbacks_stream_closes_the_backend():
    second = Scripted(["x", 60.0])
    parts = with_fallback(Scripted([busy()]), [("b", lambda: second)]).stream(PROMPT, PARAMS)
    next(parts)
    parts.close()
    assert second.closed.is_set()
