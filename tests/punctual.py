"""A clock that stands still while this machine is late.

Where other work keeps the cores busy, a thread that should run waits for its turn, and no code can
hold a deadline to a second. A thread that does nothing but sleep sees by how much it is woken too
late; that much is taken off. So what is measured is the code's own lateness, on any machine.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

_NAP, _SLACK = 0.01, 0.005


class _Sleeper(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="punctual", daemon=True)
        self._state = (0.0, math.inf)  # seconds lost so far, and when the next nap should end

    def run(self) -> None:
        lost = 0.0
        while True:
            due = time.monotonic() + _NAP + _SLACK
            self._state = (lost, due)
            time.sleep(_NAP)
            lost += max(0.0, time.monotonic() - due)

    def lost(self, now: float) -> float:
        lost, due = self._state
        return lost + max(0.0, now - due)


_sleeper = _Sleeper()
_sleeper.start()


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Runs from when it is made. ``seconds`` are the wall's, ``own`` those less the machine's."""

    _start: float = field(default_factory=time.monotonic)
    _lost: float = field(default_factory=lambda: _sleeper.lost(time.monotonic()))

    @property
    def seconds(self) -> float:
        """Seconds that have passed: at least so long it took."""
        return time.monotonic() - self._start

    @property
    def own(self) -> float:
        """Seconds that have passed while the machine was on time: at most so long it may take."""
        now = time.monotonic()
        return now - self._start - (_sleeper.lost(now) - self._lost)


def sleep(seconds: float) -> None:
    """Sleep for so many seconds in which the machine is on time: others get their turn."""
    watch = Stopwatch()
    while (left := seconds - watch.own) > 0:
        time.sleep(max(left, _NAP))
