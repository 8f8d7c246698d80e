"""One event loop in a thread of its own, on which all requests over a network run as tasks.

A task can be cancelled while its socket is silent, which a thread cannot. The loop is one for the
whole process, because clients keep connections open and those belong to the loop they began on.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from workbench.backends.streaming import Channel
from workbench.errors import BackendError

T = TypeVar("T")

_CLOSE_SECONDS = 5.0

_lock = threading.Lock()
_running: asyncio.AbstractEventLoop | None = None


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop; the first call starts it."""
    global _running
    with _lock:
        if _running is None:
            _running = asyncio.new_event_loop()
            threading.Thread(target=_running.run_forever, name="requests", daemon=True).start()
        return _running


def _forget() -> None:
    """Let a forked process start a loop of its own: threads do not survive a fork."""
    global _running, _lock
    _running, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Requests:
    """The running requests of one backend."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: weakref.WeakSet[Channel[Any]] = weakref.WeakSet()
        self._closed = False

    def require_open(self) -> None:
        """Go on only where the backend was not closed.

        Raises:
            BackendError: it was.
        """
        if self._closed:
            raise BackendError(f"{self._name} was unloaded.", "Load it again: load_backend(...)")

    def start(
        self,
        work: Callable[[Channel[T]], Coroutine[Any, Any, None]],
        explain: Callable[[Exception], BaseException],
    ) -> Channel[T]:
        """Run ``work`` as a task and return the channel that it sends to.

        The task is cancelled where nobody reads the channel any more, and the channel ends with
        the task; its reader is told of an error as ``explain`` puts it.

        Raises:
            BackendError: the backend was closed.
        """
        self.require_open()
        channel: Channel[T] = Channel(on_stop=lambda: task.cancel())
        task = asyncio.run_coroutine_threadsafe(_relay(work, channel, explain), event_loop())
        self._open.add(channel)
        return channel

    def start_thread(self, work: Callable[[Channel[T]], None]) -> Channel[T]:
        """Run ``work`` in a thread; where nobody reads any more, it is left at its next item.

        Raises:
            BackendError: the backend was closed.
        """
        self.require_open()
        channel: Channel[T] = Channel()
        self._open.add(channel)
        channel.run(lambda: work(channel))
        return channel

    def close(self, then: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel what runs, then await ``then``. The backend cannot be used any more."""
        if self._closed:
            return
        self._closed = True
        channels = list(self._open)
        for channel in channels:
            channel.stop()
        until = time.monotonic() + _CLOSE_SECONDS
        for channel in channels:
            channel.wait(max(0.0, until - time.monotonic()))
            channel.end()  # a task that was cancelled before it began has told nobody
        if then is not None:
            asyncio.run_coroutine_threadsafe(then(), event_loop()).result(_CLOSE_SECONDS)


async def _relay(
    work: Callable[[Channel[T]], Coroutine[Any, Any, None]],
    channel: Channel[T],
    explain: Callable[[Exception], BaseException],
) -> None:
    try:
        await work(channel)
    except asyncio.CancelledError:
        channel.stop()
        channel.end()
        raise
    except Exception as error:
        channel.end(explain(error))
    else:
        channel.end()
