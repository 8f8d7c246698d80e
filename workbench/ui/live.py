"""Running work that a page can look at, and stop, whenever it likes."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from workbench.cancel import cancelled_by
from workbench.errors import Cancelled
from workbench.progress import heard_by

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")

# Eyes follow about this many updates a second; each costs the page a redraw of its panes.
UPDATES_A_SECOND = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bar is: ``done`` of ``total``, since ``begun``, both times by the same clock.

    ``before`` were done when it was begun, such as the answers of a run that goes on: they say
    nothing of the rate.
    """

    what: str
    done: float
    total: float
    unit: str
    begun: float
    now: float
    before: float = 0

    def __str__(self) -> str:
        size, unit = (1e6, "MB") if self.unit == "B" else (1, _plural(self.unit.strip()))
        text = f"{self.what}: {self.done / size:,.0f} of {self.total / size:,.0f} {unit}"
        seconds = self.now - self.begun
        if seconds < 1 or self.done <= self.before:
            return text
        rate = (self.done - self.before) / seconds
        left = (self.total - self.done) / rate
        remaining = f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"
        slow = size == 1 and rate < 1
        said = f"{rate * 60:,.2g} a minute" if slow else f"{rate / size:,.3g} a second"
        return f"{text}, {said}, about {remaining} left"


def _plural(unit: str) -> str:
    return unit if not unit or unit.endswith("s") else f"{unit}s"


class Live(Generic[T]):
    """Reads a stream of states in a thread of its own, and keeps the newest.

    Gradio can close a handler's generator only between two items, and a model may be silent for
    long between two tokens. Iterating this waits for the clock instead, so that it can be
    stopped, or closed because the browser went away, within one tick. ``stopped`` turns the
    newest state into the last one, where it is not the same. With ``bars``, a state is yielded
    again when the work's progress bars moved; ``progress`` says how far they are. With ``tick``, it
    is also yielded again after so many seconds in which nothing moved. ``kept`` work goes on when
    nobody iterates any more, and can be iterated again, by several at once.
    """

    def __init__(
        self,
        states: Iterator[T],
        stopped: Callable[[T], T] | None = None,
        *,
        bars: bool = False,
        tick: float = math.inf,
        kept: bool = False,
    ) -> None:
        self._states = states
        self._stopped = stopped
        self._bars = bars
        self._tick = tick
        self._kept = kept
        self._progress: Progress | None = None
        self._newest: T | None = None
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._read, name="live", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the work; what has come is kept."""
        self._stop.set()
        self._woken.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, or is over."""
        return self._stop.is_set() or self.over()

    def over(self, wait: float = 0.0) -> bool:
        """Say whether the work has ended, and has let go of what it held; wait ``wait`` seconds."""
        self._thread.join(wait)
        return not self._thread.is_alive()

    @property
    def progress(self) -> Progress | None:
        """How far the work's bar is that knows its end, None before there is one."""
        return self._progress

    def __iter__(self) -> Generator[T, None, None]:
        """Yield the newest state a few times a second, and always the last one.

        Closing the generator stops the work, unless it is ``kept``.

        Raises:
            WorkbenchError: the stream raised it, such as BadInput before anything ran.
        """
        shown: T | None = None
        told: Progress | None = None
        due = math.inf
        try:
            while not self._woken.wait(1 / UPDATES_A_SECOND):
                newest = self._newest
                moved = self._bars and self._progress is not told
                late = time.monotonic() > due
                if newest is not None and (newest is not shown or moved or late):
                    shown, told = newest, self._progress
                    yield newest
                    due = time.monotonic() + self._tick
            if self._error is not None:
                raise self._error
            if self._newest is not None:
                yield self._stopped(self._newest) if self._stopped else self._newest
        finally:
            if not self._kept:
                self.stop()

    def _hear(self, done: float, total: float | None, what: str, unit: str) -> None:
        now = time.monotonic()
        before = self._progress
        if total:
            fresh = before is None or before.what != what or before.total != total
            begun, first = (now, done) if fresh or before is None else (before.begun, before.before)
            self._progress = Progress(what, done, total, unit, begun, now, first)

    def _read(self) -> None:
        with cancelled_by(self._stop), heard_by(self._hear):
            try:
                for state in self._states:
                    self._newest = state
                    if self._stop.is_set():
                        break
            except Cancelled:
                pass  # it was stopped here, between two states
            except Exception as error:
                self._error = error
            finally:
                # Only a generator has it; without it the models run until it is collected.
                if close := getattr(self._states, "close", None):
                    close()
                self._woken.set()
