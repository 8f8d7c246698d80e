"""Let several solvers work on one question at once, as one stream of updates."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from workbench.cancel import cancelled, cancelled_by
from workbench.errors import BackendError, WorkbenchError
from workbench.types import Failed, Update

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from workbench.types import Question, Solver

log = logging.getLogger(__name__)

# Tokens that a solver may be ahead of a slow reader; beyond, it waits as a pipe would.
_AHEAD = 256
# Seconds after which a reader that waits for a silent model looks at ``cancelled()``.
_LOOK = 0.2


def side_by_side(question: Question, solvers: Sequence[Solver]) -> Generator[Update]:
    """Yield the events of all solvers as they come, each solver in a thread of its own.

    The last update of each solver is Answered or Failed: an error fills its own column and the
    others go on. Closing the generator stops every solver; it does not wait for one that sits in
    foreign code, which ends at its next event or look at ``cancelled()``. Where the reader's own
    thread is ``cancelled()``, the generator ends by itself, though no event came.

    Raises:
        ValueError: two solvers have the same name, so their columns could not be told apart.
    """
    names = [solver.name for solver in solvers]
    if len(set(names)) != len(names):
        raise ValueError(f"solver names are not unique: {names}")
    stop = threading.Event()
    updates: queue.Queue[Update | None] = queue.Queue(maxsize=_AHEAD)
    for solver in solvers:
        threading.Thread(
            target=_work, args=(solver, question, updates, stop), name=solver.name, daemon=True
        ).start()
    running = len(solvers)
    try:
        while running and not cancelled():
            try:
                update = updates.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if update is None:
                running -= 1
            else:
                yield update
    finally:
        stop.set()


def _work(
    solver: Solver,
    question: Question,
    updates: queue.Queue[Update | None],
    stop: threading.Event,
) -> None:
    with cancelled_by(stop):
        events = solver.stream(question)
        try:
            for event in events:
                if not _put(updates, Update(solver.name, event), stop):
                    break
        except WorkbenchError as error:
            log.info("%s failed", solver.name, exc_info=True)
            partial = error.partial if isinstance(error, BackendError) else None
            _put(updates, Update(solver.name, Failed(str(error), partial)), stop)
        except Exception as error:
            # A bug or a library's surprise: still one column's matter, with a word on where.
            log.exception("%s broke", solver.name)
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            _put(updates, Update(solver.name, Failed(f"{cause} (--debug shows more)")), stop)
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()
            _put(updates, None, stop)


def _put(updates: queue.Queue[Update | None], update: Update | None, stop: threading.Event) -> bool:
    """Hand an update over, or give up once nobody reads."""
    while not stop.is_set():
        try:
            updates.put(update, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False
