"""How long one answer may take, how often it is tried, and how much one provider is asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from workbench.cancel import cancelled
from workbench.errors import Cancelled
from workbench.settings import settings

# Seconds after which who waits looks whether anybody still waits for the answer.
LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for each call of one backend. Times are in seconds, None is no limit.

    ``call_timeout`` counts from the call on, tries and waits included, and ``token_timeout`` from
    one token to the next. Both hold for every backend. The others hold for those that are not
    local: ``attempts`` are the calls for one answer, ``concurrency`` those that run at a time, and
    ``requests_per_minute`` and ``tokens_per_minute`` hold for all backends of one provider
    together. Between two attempts passes a random time below ``first_backoff``, which doubles with
    each, up to ``longest_backoff``; unless the server says how long it wants.
    """

    call_timeout: float | None = None
    token_timeout: float | None = None
    attempts: int = 1
    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    first_backoff: float = 1.0
    longest_backoff: float = 60.0

    @classmethod
    def from_settings(cls) -> Limits:
        """Return the limits that the environment sets."""
        said = settings()
        return cls(
            call_timeout=said.call_timeout,
            token_timeout=said.token_timeout,
            attempts=said.attempts,
            concurrency=said.concurrency,
            requests_per_minute=said.requests_per_minute,
            tokens_per_minute=said.tokens_per_minute,
        )


class Clock:
    """The time that is left of ``seconds``, which begin now; None never ends."""

    def __init__(self, seconds: float | None) -> None:
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, 0 where the time is up."""
        return max(0.0, self._end - time.monotonic())

    def require(self, moment: float, late: Callable[[], Exception]) -> None:
        """Raise ``late()`` where the time was up at that moment of ``time.monotonic``."""
        if moment > self._end:
            raise late()

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the clock runs.

        Raises:
            Cancelled: nobody waits for the answer any more.
        """
        nap = Clock(seconds)
        while (wait := min(nap.left, self.left)) > 0:
            require_wanted()
            time.sleep(min(wait, LOOK))


def require_wanted() -> None:
    """Go on only where somebody still waits for the work of this thread.

    Raises:
        Cancelled: nobody does.
    """
    if cancelled():
        raise Cancelled("The call was stopped.")
