"""Running work that a page can look at, and stop, whenever it likes."""

from __future__ import annotations

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
    """How far a bar is: ``done`` of ``total``, since ``begun``, both times by the same clock."""

    what: str
    done: float
    total: float
    unit: str
    begun: float
    now: float

    def __str__(self) -> str:
        size, unit = (1e6, "MB") if self.unit == "B" else (1, self.unit.strip())
        text = f"{self.what}: {self.done / size:,.0f} of {self.total / size:,.0f} {unit}"
        seconds = self.now - self.begun
        if seconds < 1 or not self.done:
            return text
        rate = self.done / seconds
        left = (self.total - self.done) / rate
        remaining = f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"
        return f"{text}, {rate / size:,.3g} a second, about {remaining} left"


class Live(Generic[T]):
    """Reads a stream of states in a thread of its own, and keeps the newest.

    Gradio can close a handler's generator only between two items, and a model may be silent for
    long between two tokens. Iterating this waits for the clock instead, so that it can be
    stopped, or closed because the browser went away, within one tick. ``stopped`` turns the
    newest state into the last one, where it is not the same. With ``bars``, a state is yielded
    again when the work's progress bars moved; ``progress`` says how far they are.
    """

    def __init__(
        self,
        states: Iterator[T],
        stopped: Callable[[T], T] | None = None,
        *,
        bars: bool = False,
    ) -> None:
        self._states = states
        self._stopped = stopped
        self._bars = bars
        self._progress: Progress | None = None
        self._newest: T | None = None
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._woken = threading.Event()
        threading.Thread(target=self._read, name="live", daemon=True).start()

    def stop(self) -> None:
        """Stop the work; what has come is kept."""
        self._stop.set()
        self._woken.set()

    @property
    def progress(self) -> Progress | None:
        """How far the work's bar is that knows its end, None before there is one."""
        return self._progress

    def __iter__(self) -> Generator[T, None, None]:
        """Yield the newest state a few times a second, and always the last one.

        Closing the generator stops the work.

        Raises:
            WorkbenchError: the stream raised it, such as BadInput before anything ran.
        """
        shown: T | None = None
        told: Progress | None = None
        try:
            while not self._woken.wait(1 / UPDATES_A_SECOND):
                newest = self._newest
                moved = self._bars and self._progress is not told
                if newest is not None and (newest is not shown or moved):
                    shown, told = newest, self._progress
                    yield newest
            if self._error is not None:
                raise self._error
            if self._newest is not None:
                yield self._stopped(self._newest) if self._stopped else self._newest
        finally:
            self.stop()

    def _hear(self, done: float, total: float | None, what: str, unit: str) -> None:
        now = time.monotonic()
        before = self._progress
        if total:
            fresh = before is None or before.what != what or before.total != total
            begun = now if fresh or before is None else before.begun
            self._progress = Progress(what, done, total, unit, begun, now)

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
