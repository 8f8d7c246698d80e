"""What every backend needs to stream: a way out of foreign threads, and a stopwatch."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from workbench.cancel import cancelled
from workbench.types import Completion, FinishReason, Sent, Token

T = TypeVar("T")

_POLL_SECONDS = 0.1
_EXIT_SECONDS = 2.0


class Channel(Generic[T]):
    """Carries items from a worker, in whatever thread, to the one generator that reads them.

    ``on_stop`` wakes a worker that waits for something else than the channel.
    """

    def __init__(self, on_stop: Callable[[], object] | None = None) -> None:
        self._on_stop = on_stop
        self._items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self.stopped_early = False
        _channels.add(self)

    @property
    def stopped(self) -> bool:
        """Whether nobody reads any more, so that the worker should end."""
        return self._stopped.is_set()

    def send(self, item: T) -> bool:
        """Hand an item over; False where nobody reads any more."""
        if self.stopped:
            return False
        self._items.put(item)
        return True

    def end(self, error: BaseException | None = None) -> None:
        """Say that the worker has ended, well or with ``error``, which the reader will raise."""
        self._ended.set()
        self._items.put(_End(error))

    def stop(self) -> None:
        """Tell the worker that nobody reads any more."""
        self.stopped_early |= not self._ended.is_set()
        self._stopped.set()
        if self._on_stop is not None:
            self._on_stop()

    def wait(self, seconds: float) -> bool:
        """Wait until the worker has ended; False where it has not within ``seconds``."""
        return self._ended.wait(seconds)

    def run(self, work: Callable[[], None]) -> None:
        """Start ``work`` in a thread of its own and end with it."""
        threading.Thread(target=self._work, args=(work,), name="backend", daemon=True).start()

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.end(error)
        else:
            self.end()

    def read(self, idle: Callable[[], object] | None = None) -> Generator[T]:
        """Yield items until the worker ends, or until nobody waits for them.

        Closing the generator, or ``workbench.cancel``, stops the worker. ``idle`` is called ten
        times a second while nothing comes; what it raises ends the reading.
        """
        try:
            while not cancelled():
                try:
                    item = self._items.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    if idle is not None:
                        idle()
                    continue
                if isinstance(item, _End):
                    if item.error is not None:
                        raise item.error
                    return
                yield item
        finally:
            self.stop()


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Transcript:
    """Writes down what streams by: the text, and when it came. Its clock starts at creation.

    ``sent`` is what the backend was really given; it goes into the Completion.
    """

    def __init__(self, model: str, sent: Sent | None = None) -> None:
        self._model = model
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self.sent = sent
        self._start = self._last = time.perf_counter()
        self._first: float | None = None

    def token(self, text: str, *, reasoning: bool = False) -> Token:
        """Note a piece of text, of the answer or of what the model thinks; return it as a Token."""
        self._last = time.perf_counter()
        if self._first is None:
            self._first = self._last - self._start
        (self._thoughts if reasoning else self._pieces).append(text)
        return Token(text, reasoning)

    def completion(
        self,
        finish_reason: FinishReason,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        ignored: tuple[str, ...] = (),
    ) -> Completion:
        """Return the Completion of all pieces noted."""
        end = time.perf_counter() if self._first is None else self._last
        return Completion(
            text="".join(self._pieces),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            seconds=end - self._start,
            first_token_seconds=self._first,
            finish_reason=finish_reason,
            model=self._model,
            ignored=ignored,
            reasoning="".join(self._thoughts),
            sent=self.sent,
        )


class StopStrings:
    """Cuts a stream of text before the first stop string, which may come in several pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Return what may be shown so far; the possible start of a stop string is held back."""
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.found = True
            _, cut = min(found)  # the first to be complete, however the text was cut into pieces
            shown, self._held = self._held[:cut], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[-keep:] if keep else ""
        return shown

    def rest(self) -> str:
        """Return what was held back, once nothing more can come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of ``text`` are a beginning of ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


_channels: weakref.WeakSet[Channel[Any]] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop the workers: foreign code that calls Python while Python is torn down would crash."""
    channels = list(_channels)
    for channel in channels:
        channel.stop()
    for channel in channels:
        channel.wait(_EXIT_SECONDS)
