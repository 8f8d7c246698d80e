"""A backend held to deadlines, retries, rate limits and a budget: the one place for all of them.

The backend inside runs in a thread of its own, which is left behind where it does not heed a
deadline: no answer waits for foreign code that hangs.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.backends.budget import Budget, Price, most_input_tokens
from workbench.backends.limits import Clock, Limits
from workbench.backends.rates import Gate, gate_of
from workbench.backends.streaming import Channel, Transcript
from workbench.backends.wrapping import Wrapper
from workbench.cancel import cancelled, cancelled_by
from workbench.errors import (
    BackendError,
    BrokenOff,
    Cancelled,
    DeadlineExceeded,
    OverBudget,
    WorkbenchError,
)
from workbench.keys import public
from workbench.settings import settings
from workbench.types import Backend, Completion, FinishReason, Prompt, SamplingParams, Token

if TYPE_CHECKING:
    from tenacity import RetryCallState

# Seconds that a backend which was stopped gets to hand in its last word: what it sent, its counts.
_GRACE = 0.4
# With a Retry-After these say that the whole provider wants rest, not that one call was wrong.
_WANTS_REST = (429, 503)

_Began = tuple["_Try", Token | Completion]


def guarded(
    backend: Backend,
    *,
    limits: Limits | None = None,
    budget: Budget | None = None,
    price: Price | None = None,
) -> Backend:
    """Return the backend within its limits, which are those of the settings by default.

    Its completions tell their ``cost`` (at ``price``; 0.0 where the backend is local) and
    ``attempts``. Beside the errors of the backend itself, its stream raises:

    Raises:
        DeadlineExceeded: the answer or its next token did not come in time. The gap before the
            first token counts for backends that stream from elsewhere only: a local model reads
            a long prompt in silence.
        BrokenOff: the backend failed after its first token; ``partial`` is what had come.
        OverBudget: the call may cost more than is left of the budget, or its price is unknown.
    """
    return Guarded.around(backend, limits or Limits.from_settings(), budget, price)


class Guarded(Wrapper):
    """What ``guarded`` returns."""

    def __init__(
        self, inner: Backend, limits: Limits, budget: Budget | None, price: Price | None
    ) -> None:
        super().__init__(inner)
        self.limits = limits
        self.budget = budget
        self.price = price

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it ends the call."""
        clock = Clock(self.limits.call_timeout)
        begin = self._once if self.capabilities.local else self._until_it_begins
        try:
            attempt, first = begin(prompt, params, clock)
        except Cancelled:
            yield Transcript(self.name).completion("cancelled")
            return
        with closing(attempt.parts):
            yield first
            yield from attempt.parts

    def _once(self, prompt: Prompt, params: SamplingParams, clock: Clock) -> _Began:
        """Call the backend and wait for the first that it yields."""
        attempt = _Try(self, prompt, params, clock, 1)
        return attempt, next(attempt.parts)

    def _until_it_begins(self, prompt: Prompt, params: SamplingParams, clock: Clock) -> _Began:
        """Call the backend until it yields something, as often as it may be called.

        What fails after its first token is not tried again: somebody has read it already.
        """
        from tenacity import Retrying, retry_if_exception, wait_random_exponential

        number = 0

        def once() -> _Began:
            nonlocal number
            attempt = _Try(self, prompt, params, clock, number + 1)
            number += 1
            return attempt, next(attempt.parts)

        def is_enough(state: RetryCallState) -> bool:
            return number >= self.limits.attempts or state.upcoming_sleep >= clock.left

        jitter = wait_random_exponential(self.limits.first_backoff, self.limits.longest_backoff)
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            wait=functools.partial(_wait, jitter),
            stop=is_enough,
            sleep=clock.sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except BackendError as error:
            raise _told(error, number, clock.left) from error

    def worth(self, used: tuple[int, int]) -> float | None:
        """Return what tokens in and out cost in USD, None where nobody knows."""
        if self.capabilities.local:
            return 0.0
        return None if self.price is None else self.price.cost(*used)

    def cost_of(self, completion: Completion) -> float | None:
        """Return what a completion cost; the backend's own word where it has no price here."""
        if self.capabilities.local:
            return 0.0
        counts = _counts(completion)
        cost = None if counts is None else self.worth(counts)
        return completion.cost if cost is None else cost


class _Try:
    """One call of the backend inside. ``parts`` are what it yields, and end as a backend's do."""

    def __init__(
        self, guard: Guarded, prompt: Prompt, params: SamplingParams, clock: Clock, number: int
    ) -> None:
        self._guard = guard
        self._clock = clock
        self._number = number
        self._open = functools.partial(guard.inner.stream, prompt, params)
        self._last: Completion | None = None
        self._stop = threading.Event()
        self._channel: Channel[tuple[float, Token | Completion]] = Channel(self._stop.set)
        self._toll = _Toll(guard, prompt, params, clock)
        self._transcript = Transcript(guard.name)
        self._began = False
        self._seen = time.monotonic()
        self.parts = self._read()

    def _read(self) -> Generator[Token | Completion]:
        context = contextvars.copy_context()
        self._channel.run(lambda: context.run(self._work))
        try:
            with closing(self._channel.read(self._check)) as parts:
                for seen, part in parts:
                    self._clock.require(seen, self._late)
                    if isinstance(part, Completion):
                        self._channel.wait(_GRACE)
                        yield self._finished(part)
                        return
                    self._began, self._seen = True, seen
                    yield self._transcript.token(part.text, reasoning=part.reasoning)
            if not cancelled():
                raise BackendError(
                    f"{self._guard.name} ended without a completion.", "Run it again with --debug."
                )
            yield self._finished(self._partial("cancelled"))
        except Exception as error:
            end = self._broken(error) if self._began else error
            self._toll.pay(end)
            if end is error:
                raise
            # What is no error of ours may hold a key in its own message.
            raise end from error if isinstance(error, WorkbenchError) else None
        finally:
            self._toll.pay(None)

    def _work(self) -> None:
        """Hand over what the backend yields, with the time at which it came."""
        with cancelled_by(self._stop):
            parts = self._open()
            refused: float | None = None
            try:
                for part in parts:
                    now = time.monotonic()
                    if isinstance(part, Completion):
                        self._last = part
                    if not self._channel.send((now, part)):
                        refused = refused or now
                        if now - refused > _GRACE:
                            break
            finally:
                if close := getattr(parts, "close", None):
                    close()

    def _check(self) -> None:
        """Look at the clocks while nothing comes."""
        now = time.monotonic()
        self._clock.require(now, self._late)
        gap = self._guard.limits.token_timeout
        said = self._guard.capabilities
        counts = self._began or (said.streaming and not said.local)
        if gap is not None and counts and now - self._seen > gap:
            raise DeadlineExceeded(
                f"{self._guard.name} was silent for {gap:g} s.",
                "Ask again, or raise WORKBENCH_TOKEN_TIMEOUT.",
            )

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._guard.name} did not finish within {self._guard.limits.call_timeout:g} s.",
            "Ask for fewer tokens, or raise WORKBENCH_CALL_TIMEOUT.",
        )

    def _finished(self, completion: Completion) -> Completion:
        """Settle the call and return its completion with what it took."""
        self._toll.pay(completion)
        return self._marked(completion)

    def _marked(self, completion: Completion) -> Completion:
        cost = self._guard.cost_of(completion)
        return replace(completion, cost=cost, attempts=self._number)

    def _partial(self, reason: FinishReason, given: Completion | None = None) -> Completion:
        """Return what had come: by the backend's own last word, or else as it was handed on."""
        self._channel.stop()
        self._channel.wait(_GRACE)
        found = given or self._last or self._transcript.completion(reason)
        return replace(found, finish_reason=reason)

    def _broken(self, error: Exception) -> BackendError:
        """Return the error that keeps the text which came before it."""
        given = error.partial if isinstance(error, BackendError) else None
        partial = self._marked(self._partial("broken", given))
        if isinstance(error, DeadlineExceeded):
            return DeadlineExceeded(error.cause, error.remedy, partial=partial)
        if isinstance(error, BackendError):
            return BrokenOff(
                error.cause,
                error.remedy,
                transient=error.transient,
                status=error.status,
                retry_after=error.retry_after,
                partial=partial,
            )
        if isinstance(error, WorkbenchError):
            return BrokenOff(error.cause, error.remedy, partial=partial)
        cause = public(f"{self._guard.name} broke off: {type(error).__name__}: {error}")
        return BrokenOff(cause, "Run it again with --debug.", partial=partial)


class _Toll:
    """What one call of a backend elsewhere occupies: its turn, and what it may cost.

    What a call that failed is held to have taken: nothing where the server refused it or it was
    never sent; its prompt where the connection failed before anything came back; the most it might
    have (the prompt and ``max_tokens``) where the answer had begun or may have been under way, as
    the server may write on, and bill it, long after nobody listens.
    """

    def __init__(
        self, guard: Guarded, prompt: Prompt, params: SamplingParams, clock: Clock
    ) -> None:
        self._most = most_input_tokens(prompt.messages), params.max_tokens
        self._guard = guard
        self._paid = guard.capabilities.local
        if self._paid:
            return
        most = guard.worth(self._most)
        if guard.budget is not None and most is None:
            raise OverBudget(
                f"The price of {guard.name} is unknown, so it cannot be held to a budget.",
                f"Write its price into {settings().prices or settings().home / 'prices.toml'},"
                " or ask without a budget.",
            )
        self._gate: Gate = gate_of(guard.name)
        self._pass = self._gate.enter(guard.limits, sum(self._most), clock)
        try:
            self._reservation = guard.budget.reserve(most or 0.0) if guard.budget else None
        except OverBudget:
            self._pass.leave(0)
            raise

    def pay(self, end: Completion | Exception | None) -> None:
        """Say how the call ended, None for one that was closed. Only the first time counts."""
        if self._paid:
            return
        self._paid = True
        if isinstance(end, BackendError) and end.transient and end.status in _WANTS_REST:
            self._gate.rest(end.retry_after or 0.0)
        used = self._used(end)
        self._pass.leave(sum(used))
        if self._reservation is not None:
            self._reservation.settle(self._guard.worth(used) or 0.0)

    def _used(self, end: Completion | Exception | None) -> tuple[int, int]:
        """Return the tokens that the call took, in and out; see above."""
        asked, answered = self._most
        if isinstance(end, BackendError) and end.partial is not None:
            end = end.partial
        if isinstance(end, Completion):
            return _counts(end) or (end.input_tokens or asked, answered)
        if isinstance(end, BackendError) and not isinstance(end, BrokenOff | DeadlineExceeded):
            return (asked, 0) if end.status is None else (0, 0)
        refused = isinstance(end, WorkbenchError) and not isinstance(end, BackendError)
        return (0, 0) if refused else self._most


def _counts(completion: Completion) -> tuple[int, int] | None:
    """Return the tokens in and out of a whole call, None where they are not all known.

    Those of a partial answer are the server's count from some moment before its end.
    """
    read, written = completion.input_tokens, completion.output_tokens
    if completion.finish_reason in ("broken", "cancelled") or read is None or written is None:
        return None
    return read, written


def _is_transient(error: BaseException) -> bool:
    # What was silent for a whole gap would be silent for as long again.
    silent = isinstance(error, DeadlineExceeded)
    return isinstance(error, BackendError) and error.transient and not silent


def _wait(jitter: Callable[[Any], float], state: RetryCallState) -> float:
    """Return seconds until the next call: as the server wants, or else at random."""
    error = state.outcome and state.outcome.exception()
    asked = error.retry_after if isinstance(error, BackendError) else None
    return jitter(state) if asked is None else asked


def _told(error: BackendError, calls: int, left: float) -> BackendError:
    """Return the error with what was tried, and with the server's wish that could not be met."""
    more = f" It was asked {calls} times." if calls > 1 else ""
    if error.transient and error.retry_after is not None and error.retry_after >= left:
        more += (
            f" It wants to be asked again in {error.retry_after:g} s, and this call has"
            f" {left:.0f} s left."
        )
    return type(error)(
        error.cause + more,
        error.remedy,
        transient=error.transient,
        status=error.status,
        retry_after=error.retry_after,
        partial=error.partial,
    )
