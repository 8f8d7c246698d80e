"""A running comparison that a page can look at, and stop, whenever it likes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from workbench.cancel import cancelled_by

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from workbench.comparison import Comparison

# Eyes follow about this many updates a second; each costs the page a redraw of its panes.
UPDATES_A_SECOND = 8


class Live:
    """Reads a stream of comparisons in a thread of its own, and keeps the newest.

    Gradio can close a handler's generator only between two items, and a model may be silent for
    long between two tokens. Iterating this waits for the clock instead, so that it can be
    stopped, or closed because the browser went away, within one tick.
    """

    def __init__(self, comparisons: Iterator[Comparison]) -> None:
        self._comparisons = comparisons
        self._newest: Comparison | None = None
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._woken = threading.Event()
        threading.Thread(target=self._read, name="live comparison", daemon=True).start()

    def stop(self) -> None:
        """Stop the models; what has come is kept."""
        self._stop.set()
        self._woken.set()

    def __iter__(self) -> Generator[Comparison, None, None]:
        """Yield the newest comparison a few times a second, and always the last one.

        A comparison that was stopped ends with its unfinished columns marked so. Closing the
        generator stops the models.

        Raises:
            WorkbenchError: the stream raised it, such as BadInput before anything ran.
        """
        shown: Comparison | None = None
        try:
            while not self._woken.wait(1 / UPDATES_A_SECOND):
                newest = self._newest
                if newest is not None and newest is not shown:
                    shown = newest
                    yield newest
            if self._error is not None:
                raise self._error
            if self._newest is not None:
                yield self._newest.stop()
        finally:
            self.stop()

    def _read(self) -> None:
        with cancelled_by(self._stop):
            try:
                for comparison in self._comparisons:
                    self._newest = comparison
                    if self._stop.is_set():
                        break
            except Exception as error:
                self._error = error
            finally:
                # Only a generator has it; without it the models run until it is collected.
                if close := getattr(self._comparisons, "close", None):
                    close()
                self._woken.set()
