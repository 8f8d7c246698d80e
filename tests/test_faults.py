"""Each sentence of *Limits and failures*, against a server that fails in every way there is.

Through ``openai-compatible/`` and through ``openai/`` with the official client: both guarded.
"""

from __future__ import annotations

import email.utils
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import punctual
import pytest
from fault_server import (
    ANSWER,
    FINISHED,
    SPOKEN,
    TEXT,
    WITHOUT_REASON,
    WORDS,
    Fault,
    FaultServer,
    after,
    close,
    endlessly,
    event,
    fault_server,
    garbage,
    hang,
    reset,
    status,
    stream,
)
from punctual import Stopwatch

from workbench.backends import BACKENDS, rates
from workbench.backends.budget import Budget
from workbench.backends.cache import cached
from workbench.backends.fallback import with_fallback
from workbench.backends.guarded import guarded
from workbench.backends.limits import Clock, Limits
from workbench.cancel import cancelled_by
from workbench.errors import (
    BackendError,
    BrokenOff,
    DeadlineExceeded,
    MissingKey,
    OverBudget,
    WorkbenchError,
)
from workbench.types import Backend, Completion, Message, Prompt, SamplingParams, Token

PROMPT = Prompt((Message("user", "Zähle."),), "test")
PARAMS = SamplingParams(max_tokens=50)
KEY = "sk-very-secret-1234567890"
QUICK = Limits(
    call_timeout=20, token_timeout=10, attempts=3, first_backoff=0.02, longest_backoff=0.05
)
# A deadline holds to one second.
LATE = 1.0


@pytest.fixture(params=["openai-compatible", "openai"])
def asked(request, monkeypatch) -> Iterator[Callable[[FaultServer], Backend]]:
    """Return what makes the backend that asks a server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(rates, "_gates", {})  # ports come again, and one provider is one gate
    made: list[Any] = []

    def make(server: FaultServer) -> Backend:
        if request.param == "openai":
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            backend = BACKENDS.load("openai")("gpt-4o", "openai/gpt-4o")
            # A provider by itself, so that servers which are asked side by side share no gate.
            backend.name = f"openai-at-{server.port}/gpt-4o"
        else:
            name = f"m@{server.url}"
            backend = BACKENDS.load("openai-compatible")(name, f"openai-compatible/{name}")
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.close()


@dataclass(slots=True)
class Outcome:
    """How one call ended: its completion or its error, and the seconds it took.

    ``own`` are those seconds without the machine's lateness.
    """

    completion: Completion | None
    error: WorkbenchError | None
    seconds: float
    own: float
    texts: list[str]

    @property
    def partial(self) -> Completion | None:
        return self.error.partial if isinstance(self.error, BackendError) else None


def outcome(backend: Backend) -> Outcome:
    watch = Stopwatch()
    texts: list[str] = []
    completion = error = None
    try:
        for part in backend.stream(PROMPT, PARAMS):
            if isinstance(part, Token):
                texts.append(part.text)
            else:
                completion = part
    except WorkbenchError as caught:
        error = caught
    own = watch.own
    return Outcome(completion, error, watch.seconds, own, texts)


def ask(asked, *plan: Fault, limits: Limits = QUICK) -> tuple[Outcome, FaultServer]:
    """Ask a server of that plan once."""
    return ask_each(asked, [plan], limits)[0]


def ask_each(
    asked, plans: Sequence[Sequence[Fault]], limits: Limits = QUICK
) -> list[tuple[Outcome, FaultServer]]:
    """Ask a server of each plan, all at the same time."""
    with ExitStack() as stack:
        servers = [stack.enter_context(fault_server(*plan)) for plan in plans]
        backends = [guarded(asked(server), limits=limits) for server in servers]
        with ThreadPoolExecutor(len(plans)) as pool:
            return list(zip(pool.map(outcome, backends), servers, strict=True))


def ask_in_turn(
    asked, plans: Sequence[Sequence[Fault]], limits: Limits = QUICK
) -> list[tuple[Outcome, int]]:
    """Ask one server whose plan is all of them one after the other; return the calls of each."""
    found = []
    with fault_server(*(fault for plan in plans for fault in plan)) as server:
        backend = guarded(asked(server), limits=limits)
        for plan in plans:
            before = server.calls
            found.append((outcome(backend), server.calls - before))
            assert found[-1][1] <= len(plan), "it asked more often than was planned for"
    return found


def assert_broken(found: Outcome, text: str) -> None:
    """It failed, and its text is kept, marked, and not taken for an answer."""
    assert found.completion is None
    assert found.partial is not None and found.partial.text == text == "".join(found.texts)
    assert found.partial.finish_reason == "broken" and not found.partial.is_complete


# --- the server itself speaks well -----------------------------------------------------


def test_a_good_answer_is_one(asked):
    plans = [[stream(chunked=True)], [stream(chunked=False)]]
    for found, calls in ask_in_turn(asked, plans):
        assert found.error is None
        assert (found.completion.text, found.completion.finish_reason) == (TEXT, "stop")
        assert (found.completion.input_tokens, found.completion.output_tokens) == (7, 5)
        assert (found.completion.attempts, calls) == (1, 1)


# --- retries, only for what may be retried ---------------------------------------------

TRANSIENT = (408, 409, 429, 500, 502, 503, 504, 529)
FINAL = (400, 401, 402, 403, 404, 405, 413, 415, 422)


def test_what_may_be_retried_is_tried_until_it_succeeds(asked):
    for found, calls in ask_in_turn(asked, [[status(c), status(c), stream()] for c in TRANSIENT]):
        assert (calls, found.completion.attempts, found.completion.text) == (3, 3, TEXT)


def test_there_are_no_more_calls_than_attempts(asked):
    answers = ask_in_turn(asked, [[status(code)] * 3 for code in TRANSIENT])
    for code, (found, calls) in zip(TRANSIENT, answers, strict=True):
        assert calls == 3 and found.error.status == code and found.error.transient
        assert "3 times" in found.error.cause and found.error.remedy


def test_what_is_refused_for_good_is_called_once(asked):
    answers = ask_in_turn(asked, [[status(code)] for code in FINAL])
    for code, (found, calls) in zip(FINAL, answers, strict=True):
        assert calls == 1 and found.own < LATE
        assert isinstance(found.error, MissingKey) == (code in (401, 403))


def test_an_empty_purse_is_called_once(asked):
    said = "You exceeded your current quota."
    for word in ("code", "type"):
        body = {"error": {"message": said, word: "insufficient_quota"}}
        ((found, calls),) = ask_in_turn(asked, [[status(429, body, Retry_After="1")]])
        assert calls == 1 and not found.error.transient and found.own < LATE
        assert "balance" in found.error.remedy


def test_a_connection_that_fails_before_the_first_token_is_tried_again(asked):
    faults = (reset, close, stream(b"", "reset"), stream(b"", "cut"), stream(b": hi\n\n", "cut"))
    for found, calls in ask_in_turn(asked, [[fault, fault, stream()] for fault in faults]):
        assert (calls, found.completion and found.completion.text) == (3, TEXT)


def test_where_nobody_listens_it_is_tried_again(asked):
    with fault_server(stream()) as server:
        backend = guarded(asked(server), limits=QUICK)
    found = outcome(backend)  # the server is gone
    assert server.calls == 0 and "3 times" in found.error.cause
    assert "Nothing answers" in found.error.cause


def test_after_the_first_token_nothing_is_tried_again(asked):
    for then in ("reset", "cut"):
        found, server = ask(asked, stream(b"".join(SPOKEN[:3]), then), stream())
        assert server.calls == 1 and isinstance(found.error, BrokenOff)
        assert_broken(found, "".join(WORDS[:3]))


def test_waits_between_tries_are_random_and_bounded(asked, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(Clock, "sleep", lambda _, seconds: slept.append(seconds))
    limits = replace(QUICK, attempts=5, first_backoff=0.05, longest_backoff=0.2)
    ask(asked, status(503), limits=limits)
    assert all(0 <= wait <= bound for wait, bound in zip(slept, (0.05, 0.1, 0.2, 0.2), strict=True))
    assert len(set(slept)) == 4


# --- Retry-After -----------------------------------------------------------------------


def gap(server: FaultServer) -> float:
    return server.times[1] - server.times[0]


SLOW = replace(QUICK, first_backoff=200.0, longest_backoff=200.0)


def test_retry_after_is_honoured_in_seconds_in_milliseconds_and_as_a_date(asked):
    def until(connection) -> None:
        date.append(math.ceil(time.time()) + 1)
        status(429, Retry_After=email.utils.formatdate(date[0], usegmt=True))(connection)

    date: list[float] = []
    wishes = [
        (status(429, Retry_After="1"), 1.0),
        (status(503, Retry_After="1"), 1.0),
        (status(408, Retry_After="0"), 0.0),
        (status(429, retry_after_ms="300"), 0.3),
        (status(429, Retry_After="9", Retry_After_Ms="600"), 0.6),
        (until, None),
    ]
    answers = ask_each(asked, [[refusal, stream()] for refusal, _ in wishes], SLOW)
    for (_, seconds), (found, server) in zip(wishes, answers, strict=True):
        assert found.completion.attempts == 2
        if seconds is None:
            seconds = date[0] - (time.time() - (time.monotonic() - server.times[0]))
        assert seconds - 0.05 <= gap(server) and found.own < seconds + 2


def test_a_date_that_is_past_is_now_and_an_unreadable_one_is_none(asked):
    past = status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    found, server = ask(asked, past, stream(), limits=SLOW)
    assert server.calls == 2 and found.own < LATE
    found, _ = ask(asked, status(429, Retry_After="soon"), stream())
    assert found.completion.attempts == 2 and found.own < LATE


def test_a_wish_that_does_not_fit_into_the_deadline_fails_at_once(asked):
    limits = replace(QUICK, call_timeout=5)
    found, server = ask(asked, status(429, Retry_After="3600"), stream(), limits=limits)
    assert server.calls == 1 and found.own < LATE
    assert "HTTP 429" in found.error.cause and "in 3600 s" in found.error.cause
    assert found.error.retry_after == 3600


def test_a_429_with_a_wish_lets_the_whole_provider_rest(asked):
    with fault_server(status(429, Retry_After_Ms="500"), stream()) as server:
        backend = guarded(asked(server), limits=replace(QUICK, concurrency=1))
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(outcome, [backend] * 4))
    assert all(one.completion.text == TEXT for one in found)
    assert server.calls == 5 and gap(server) >= 0.49


# --- deadlines -------------------------------------------------------------------------


def left_within_two_seconds(server: FaultServer) -> bool:
    """Say whether the client of a silent server goes away, in time."""
    watch = Stopwatch()
    while not server.left and watch.own < 2:
        time.sleep(0.02)
    return bool(server.left)


DEADLINE = 1.0
SHORT = replace(QUICK, call_timeout=DEADLINE)
GAP = replace(QUICK, token_timeout=DEADLINE)
SAID = b"".join(SPOKEN[:2])


@pytest.mark.parametrize("limits", [SHORT, GAP], ids=["call", "gap"])
def test_a_deadline_holds_to_one_second_whatever_the_server_does(asked, limits):
    faults = [
        (hang, ""),
        (stream(b"", "hang"), ""),
        (stream(SAID, "hang"), "eins zwei"),
        (stream(b"".join(SPOKEN), "hang"), TEXT),  # all was said, and nobody says so
        (endlessly(b": ping\n\n", 0.05), ""),  # a socket that is alive, and says nothing
        (stream(drip=0.05), ""),  # bytes come, tokens do not
    ]
    answers = ask_each(asked, [[fault] for fault, _ in faults], limits)
    for (_, text), (found, server) in zip(faults, answers, strict=True):
        assert isinstance(found.error, DeadlineExceeded) and server.calls == 1
        assert found.seconds >= DEADLINE and found.own < DEADLINE + LATE
        if text:
            assert_broken(found, text)
        else:
            assert found.partial is None


def test_a_deadline_holds_for_an_answer_that_does_not_end(asked):
    found, _ = ask(asked, endlessly(SPOKEN[0], 0.02), limits=SHORT)
    assert isinstance(found.error, DeadlineExceeded)
    assert found.seconds >= DEADLINE and found.own < DEADLINE + LATE
    assert found.partial.text.startswith("einseins") and not found.partial.is_complete


def test_tries_and_waits_count_into_the_deadline(asked):
    limits = Limits(call_timeout=1.5, attempts=99, first_backoff=0.1, longest_backoff=0.1)
    found, server = ask(asked, status(503), limits=limits)
    # The deadline may come within a wait, which is then not begun, or within a try.
    assert found.error.status == 503 or isinstance(found.error, DeadlineExceeded)
    assert found.own < 3 and 2 <= server.calls < 99  # which alone would take five seconds


def test_slow_bytes_are_no_failure_while_tokens_come_in_time(asked):
    found, server = ask(asked, stream(drip=0.0002), limits=QUICK)
    assert (found.completion.text, found.completion.finish_reason) == (TEXT, "stop")
    assert server.calls == 1


def test_what_is_given_up_is_disconnected_within_two_seconds(asked):
    with fault_server(stream(SAID, "hang")) as server:
        found = outcome(guarded(asked(server), limits=GAP))
        assert isinstance(found.error, DeadlineExceeded)
        assert left_within_two_seconds(server)


# --- stopping --------------------------------------------------------------------------


def test_who_is_cancelled_gets_the_partial_answer_and_the_server_is_left(asked):
    stop = threading.Event()

    def cancellable(backend: Backend) -> Outcome:
        with cancelled_by(stop):
            return outcome(backend)

    faults = [hang, stream(SAID, "hang"), status(429, Retry_After="9"), stream(drip=0.05)]
    with ExitStack() as stack:
        servers = [stack.enter_context(fault_server(fault)) for fault in faults]
        backends = [guarded(asked(server), limits=QUICK) for server in servers]
        with ThreadPoolExecutor(len(faults)) as pool:
            asking = [pool.submit(cancellable, backend) for backend in backends]
            while not all(server.calls for server in servers):
                time.sleep(0.02)
            punctual.sleep(0.4)  # for what was said to be read
            stop.set()
            stopped = Stopwatch()
            answers = [one.result() for one in asking]
            assert stopped.own < 2
        while any(server.at_once for server in servers):
            assert stopped.own < 2
            time.sleep(0.02)
    for found, server in zip(answers, servers, strict=True):
        assert found.error is None and server.calls == 1
        assert found.completion.finish_reason == "cancelled" and not found.completion.is_complete
        assert found.completion.text == "".join(found.texts)
    assert answers[1].texts == list(WORDS[:2])


def test_closing_the_stream_disconnects_within_two_seconds(asked):
    with fault_server(stream(SAID, "hang")) as server:
        parts = guarded(asked(server), limits=QUICK).stream(PROMPT, PARAMS)
        assert next(parts).text == "eins"
        parts.close()
        assert left_within_two_seconds(server)


# --- partial answers -------------------------------------------------------------------

# Twenty places: eighteen all over the stream, within a character of several bytes, and within the
# word that says that all was said.
CUTS = sorted(
    {round(number * (len(ANSWER) - 1) / 17) for number in range(18)}
    | {ANSWER.index("🙂".encode()) + 2, ANSWER.index(b'"stop"') + 3}
)


def said_within(data: bytes) -> str:
    """Return the text of the events that are whole."""
    return "".join(word for word, spoken in zip(WORDS, SPOKEN, strict=True) if spoken[:-1] in data)


@pytest.mark.parametrize("then", ["cut", "reset"])
def test_a_stream_cut_at_any_byte_is_never_a_shorter_answer(asked, then):
    assert len(set(CUTS)) == 20 and CUTS[0] == 0
    cases = [(ANSWER[:cut], chunked) for cut in CUTS for chunked in (True, False)]
    plans = [[stream(before, then, chunked=chunked)] for before, chunked in cases]
    answers = ask_in_turn(asked, plans, replace(QUICK, attempts=1))
    broken = 0
    for (before, _), (found, calls) in zip(cases, answers, strict=True):
        assert calls == 1
        if found.error is None:
            assert FINISHED.strip() in before and found.completion.text == TEXT
        elif said_within(before):
            assert isinstance(found.error, BrokenOff)
            assert_broken(found, said_within(before))
            broken += 1
        else:
            assert found.partial is None
    assert broken > 20


def test_a_complete_answer_whose_end_is_not_explained_is_complete(asked):
    ((found, calls),) = ask_in_turn(asked, [[stream(WITHOUT_REASON)]])
    assert found.error is None and calls == 1
    assert (found.completion.text, found.completion.finish_reason) == (TEXT, "unknown")
    assert found.completion.is_complete


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_garbage_is_an_error_and_never_an_answer(asked):
    faults = [
        garbage,
        stream(b"\xff\xfe\x00garbage\r\n\r\n" * 9),
        stream(event("<html>")),
        stream(event('{"choices": [{"delta": {"content": "ei')),
        stream(event('{"choices": 7}')),
        status(200, "<html><body>Welcome!</body></html>"),
        status(200, ""),
    ]
    for found, _ in ask_in_turn(asked, [[fault] for fault in faults], replace(QUICK, attempts=1)):
        assert isinstance(found.error, BackendError) and not found.texts
        assert "\n" not in str(found.error) and len(str(found.error)) < 600 and found.error.remedy


def test_garbage_within_an_answer_breaks_it_off(asked):
    odd = [
        b"\xff\xfe garbage",
        event('{"choices": [{"delta": {"conte'),
        event({"error": {"message": "the model fell over", "type": "server_error"}}),
    ]
    for found, calls in ask_in_turn(asked, [[stream(SAID + data)] for data in odd]):
        assert_broken(found, "eins zwei")
        assert calls == 1


def test_a_partial_answer_is_never_cached(asked, home):
    with fault_server(stream(SAID, "reset"), stream(SAID, "hang"), stream()) as server:
        made = asked(server)
        backend = cached(guarded(made, limits=QUICK))
        assert_broken(outcome(backend), "eins zwei")
        assert_broken(outcome(cached(guarded(made, limits=GAP))), "eins zwei")
        found = outcome(backend)
        assert found.completion.text == TEXT and not found.completion.cached
        assert outcome(backend).completion.cached and server.calls == 3


# --- many at once, money, fallbacks ----------------------------------------------------


def test_a_provider_is_asked_by_so_many_at_a_time(asked):
    with fault_server(after(0.15, stream())) as server:
        backend = guarded(asked(server), limits=replace(QUICK, concurrency=3))
        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(outcome, [backend] * 12))
    assert all(one.completion.text == TEXT for one in found)
    assert server.most_at_once == 3 and server.calls == 12


def test_a_provider_is_asked_so_often_a_minute_tries_included(asked):
    with fault_server(status(503), stream()) as server:
        backend = guarded(asked(server), limits=replace(QUICK, requests_per_minute=2))
        rates.gate_of(backend.name).window = 0.5
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(outcome, [backend] * 4))
    assert all(one.completion.text == TEXT for one in found) and server.calls == 5
    # Two calls in each half second, so that the fifth waits for two of them to pass.
    assert max(one.seconds for one in found) >= 1.0


@dataclass(frozen=True)
class Price:
    def cost(self, input_tokens: int, output_tokens: int) -> float:
        return float(input_tokens + output_tokens)


def test_sixteen_workers_cannot_overspend_a_budget_on_a_server_that_fails_at_times(asked):
    # A call costs 12 dollars here, and may cost 73: 7 bytes, 16 of the message, 50 tokens.
    budget = Budget(300)
    seen: list[float] = []
    plan = [status(503) if number % 3 == 0 else stream() for number in range(20)]
    with fault_server(*plan) as server:
        backend = guarded(asked(server), limits=QUICK, budget=budget, price=Price())

        def work(_: int) -> Outcome:
            found = outcome(backend)
            seen.append(budget.spent + budget.reserved)
            return found

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(work, range(48)))
    answered = [one.completion for one in found if one.completion]
    assert all(isinstance(one.error, OverBudget) for one in found if one.error)
    assert max(seen) <= 300 and budget.reserved == 0
    assert budget.spent == 12 * len(answered) == sum(one.cost for one in answered) > 0
    assert server.calls >= len(answered) > 0


def test_a_fallback_answers_only_if_asked_for_and_is_marked(asked):
    with fault_server(status(503)) as down, fault_server(stream()) as up:
        first, other = (guarded(asked(server), limits=QUICK) for server in (down, up))
        assert outcome(first).error.status == 503 and up.calls == 0
        found = outcome(with_fallback(first, [(other.name, lambda: other)]))
    assert (found.completion.text, found.completion.model) == (TEXT, other.name)
    assert found.completion.fallback_for == first.name != other.name
    assert (down.calls, up.calls) == (6, 1)


def test_no_fallback_completes_what_another_began(asked):
    with fault_server(stream(SAID, "reset")) as broken, fault_server(stream()) as up:
        first = guarded(asked(broken), limits=QUICK)
        found = outcome(with_fallback(first, [("up", lambda: asked(up))]))
    assert_broken(found, "eins zwei")
    assert up.calls == 0


def test_no_key_stands_in_an_error(asked):
    body = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    plans = [[status(code, body)] for code in (400, 401, 429, 500)]
    for found, _ in ask_in_turn(asked, plans, replace(QUICK, attempts=1)):
        assert "secret" not in f"{found.error} {found.error.__cause__!r}"
