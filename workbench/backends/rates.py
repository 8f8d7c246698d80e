"""The gate before each provider: so many calls at a time, so many requests and tokens a minute.

A window that slides over the last minute, and not pyrate-limiter: that one sleeps deaf to
``cancelled()``, cannot give back what was reserved and not used (every call would count as its
upper bound, several times what it takes), keeps a list entry for every single token, and cannot
be paused by a server's Retry-After.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from workbench.backends.limits import LOOK, Clock, Limits, require_wanted
from workbench.errors import BackendError, DeadlineExceeded

_MINUTE = 60.0


@dataclass(slots=True, eq=False)
class _Call:
    """A call that began within the window, and the tokens that it may have taken."""

    began: float
    tokens: float


@dataclass(slots=True)
class Gate:
    """Lets the calls of one provider through, in the order in which they came.

    ``window`` is the length of the "minute" in seconds. The limits come with each call, so that
    backends of one provider may have limits of their own; what they are held against is shared.
    """

    provider: str
    window: float = _MINUTE
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _queue: deque[object] = field(default_factory=deque)
    _calls: deque[_Call] = field(default_factory=deque)
    _last: float = -math.inf
    _running: int = 0
    _rests_until: float = 0.0

    def enter(self, limits: Limits, tokens: float, clock: Clock) -> Pass:
        """Wait for the turn of a call that may take so many tokens, in and out.

        Raises:
            BackendError: it may take more tokens than a minute has.
            DeadlineExceeded: its turn does not come within the clock's time; raised as soon as
                that is certain.
            Cancelled: nobody waits for the answer any more.
        """
        if limits.tokens_per_minute is not None and tokens > limits.tokens_per_minute:
            raise BackendError(
                f"This call may take {tokens:,.0f} tokens, and {self.provider} is to be asked for"
                f" {limits.tokens_per_minute:,.0f} a minute.",
                "Lower max_tokens, or raise WORKBENCH_TOKENS_PER_MINUTE.",
            )
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while (wait := self._wait(ticket, limits, tokens)) > 0:
                    require_wanted()
                    self._require_time(wait, clock)
                    self._changed.wait(min(wait, LOOK))
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
            call = _Call(time.monotonic(), tokens)
            self._calls.append(call)
            self._last = call.began
            self._running += 1
        return Pass(self, call)

    def rest(self, seconds: float) -> None:
        """Let no call through for so long: the provider asked for it."""
        with self._changed:
            self._rests_until = max(self._rests_until, time.monotonic() + seconds)

    def _wait(self, ticket: object, limits: Limits, tokens: float) -> float:
        """Return seconds until the call may begin, infinity where only others can say."""
        now = time.monotonic()
        while self._calls and self._calls[0].began <= now - self.window:
            self._calls.popleft()
        if now < self._rests_until:
            return self._rests_until - now
        if self._queue[0] is not ticket:
            return math.inf
        if limits.concurrency is not None and self._running >= limits.concurrency:
            return math.inf
        return max(
            self._until_requests_fit(limits, now), self._until_tokens_fit(limits, tokens, now)
        )

    def _until_requests_fit(self, limits: Limits, now: float) -> float:
        if limits.requests_per_minute is None:
            return 0.0
        most = math.floor(limits.requests_per_minute)
        if most == 0:  # Half a request a minute is one in two minutes, longer than the window.
            return max(0.0, self._last + self.window / limits.requests_per_minute - now)
        if len(self._calls) < most:
            return 0.0
        return self._calls[-most].began + self.window - now

    def _until_tokens_fit(self, limits: Limits, tokens: float, now: float) -> float:
        if limits.tokens_per_minute is None:
            return 0.0
        over = sum(call.tokens for call in self._calls) + tokens - limits.tokens_per_minute
        if over <= 0:
            return 0.0
        if self._running:
            return math.inf  # Those that run have reserved more than they will take.
        for call in self._calls:
            over -= call.tokens
            if over <= 0:
                return call.began + self.window - now
        return self.window

    def _require_time(self, wait: float, clock: Clock) -> None:
        left = clock.left
        if left > 0 and (wait == math.inf or wait <= left):
            return
        if wait == math.inf:
            raise DeadlineExceeded(
                f"The turn to ask {self.provider} did not come in time.",
                "Raise WORKBENCH_CALL_TIMEOUT, or how much of the provider may be asked at a time.",
            )
        raise DeadlineExceeded(
            f"{self.provider} may be asked in {wait:,.1f} s, and this call has {left:,.1f} s left.",
            "Ask again later, or raise WORKBENCH_CALL_TIMEOUT.",
        )

    def _leave(self, call: _Call, tokens: float) -> None:
        with self._changed:
            call.tokens = tokens
            self._running -= 1
            self._changed.notify_all()


@dataclass(slots=True)
class Pass:
    """What a call was let through with; it is handed back once."""

    gate: Gate
    _call: _Call

    def leave(self, tokens: float) -> None:
        """Say that the call has ended, and how many tokens it took."""
        self.gate._leave(self._call, tokens)


_gates: dict[str, Gate] = {}
_guard = threading.Lock()


def gate_of(name: str) -> Gate:
    """Return the gate of the provider of a backend's name; one a process.

    A server of one's own (``<model>@<url>``) is a provider by itself.
    """
    provider, _, model = name.partition("/")
    at = max(model.rfind("@http://"), model.rfind("@https://"))
    key = model[at + 1 :] if at >= 0 else provider
    with _guard:
        return _gates.setdefault(key, Gate(key))
