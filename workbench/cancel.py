"""How a blocked backend learns that nobody waits for it any more.

A generator can only be closed between two items, and a model may read a long prompt for many
seconds before its first one. So whoever runs solvers in threads sets an event for each, and
whoever blocks inside one (on a queue, a socket, a prefill) looks at ``cancelled()`` a few times a
second.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

_event: ContextVar[threading.Event | None] = ContextVar("workbench_cancel", default=None)


def cancelled() -> bool:
    """Say whether the work of this thread is no longer wanted."""
    event = _event.get()
    return event is not None and event.is_set()


@contextmanager
def cancelled_by(event: threading.Event) -> Iterator[None]:
    """Make ``cancelled()`` answer by ``event`` within the block, in this thread."""
    before = _event.set(event)
    try:
        yield
    finally:
        _event.reset(before)
