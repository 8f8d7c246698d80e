"""Let solvers work: on one question side by side, or on many questions to the end."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from workbench.cancel import cancelled, cancelled_by
from workbench.errors import BackendError, BadInput, WorkbenchError
from workbench.keys import public
from workbench.types import Answered, Failed, Prompted, Result, Step, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Sequence
    from contextlib import AbstractContextManager

    from workbench.types import Answer, Prompt, Question, Solver

log = logging.getLogger(__name__)

T = TypeVar("T")

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
    _check_names(solvers)
    outlet: _Outlet[Update] = _Outlet()
    for solver in solvers:
        outlet.start(partial(_work, solver, question, outlet), solver.name)
    yield from outlet.read()


def answer_all(
    questions: Sequence[Question],
    solvers: Sequence[Solver],
    *,
    samples: int = 1,
    workers: int | None = None,
    done: Container[tuple[str, str, int]] = (),
    keep: Callable[[Question, Result], None] | None = None,
) -> Generator[Result]:
    """Put all questions to all solvers and yield the results as they come.

    A solver answers its whole share under its ``hold()``, which keeps a model in memory and waits
    for room, so that models which do not fit together come one after the other. ``workers`` is how
    many of a solver's calls run at once: the argument, or the solver's own, or one. Both are
    optional, and so is ``with_sample(i)``, without which a solver can give one sample only. What is
    ``done``, by solver, question id and sample, is not asked for again. ``keep`` is told of each
    result in the thread that made it, before anything else happens: so none is lost on its way to
    a reader who has gone. It must not raise.

    An error is a Result and the others go on. Closing the generator, or ``cancelled()`` in the
    reader's own thread, stops every call; it does not wait for one that sits in foreign code.

    Raises:
        ValueError: two solvers have the same name.
        BadInput: several samples are asked of a solver that cannot give them.
    """
    _check_names(solvers)
    outlet: _Outlet[Result] = _Outlet()
    shares = [_share(solver, questions, samples, done) for solver in solvers]
    for solver, jobs in zip(solvers, shares, strict=True):
        if jobs:
            at_once = min(workers or getattr(solver, "workers", 1), len(jobs))
            give = partial(_give, outlet, keep)
            outlet.start(
                partial(_answer_share, solver, jobs, at_once, outlet.stop, give), solver.name
            )
    yield from outlet.read()


class _Outlet(Generic[T]):
    """Carries what several threads make to the one generator that reads it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._items: queue.Queue[T | None] = queue.Queue(maxsize=_AHEAD)
        self._running = 0

    def start(self, work: Callable[[], None], name: str) -> None:
        """Run ``work`` in a thread of its own, in which ``cancelled()`` says to stop."""
        self._running += 1
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            with cancelled_by(self.stop):
                work()
        finally:
            self.put(None)

    def put(self, item: T | None) -> bool:
        """Hand an item over; False once nobody reads."""
        while not self.stop.is_set():
            try:
                self._items.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def read(self) -> Generator[T]:
        """Yield items until all threads have ended, or nobody waits for them."""
        try:
            while self._running and not cancelled():
                try:
                    item = self._items.get(timeout=_LOOK)
                except queue.Empty:
                    continue
                if item is None:
                    self._running -= 1
                else:
                    yield item
        finally:
            self.stop.set()


def _work(solver: Solver, question: Question, outlet: _Outlet[Update]) -> None:
    try:
        with _events(solver, question) as events:
            for event in events:
                if not outlet.put(Update(solver.name, event)):
                    break
    except Exception as error:
        outlet.put(Update(solver.name, _failed(solver.name, error)))


@dataclass(frozen=True, slots=True)
class _Job:
    solver: Solver
    question: Question
    sample: int


def _share(
    solver: Solver,
    questions: Sequence[Question],
    samples: int,
    done: Container[tuple[str, str, int]],
) -> deque[_Job]:
    """Return what a solver has to do. The samples of one question come one after the other."""
    numbered = [
        _with_sample(solver, sample) if samples > 1 else solver for sample in range(samples)
    ]
    return deque(
        _Job(one, question, sample)
        for question in questions
        for sample, one in enumerate(numbered)
        if (solver.name, question.id, sample) not in done
    )


def _with_sample(solver: Solver, sample: int) -> Solver:
    give: Callable[[int], Solver] | None = getattr(solver, "with_sample", None)
    if give is None:
        raise BadInput(
            f"{solver.name} cannot give several samples of one question.",
            "Ask for one, or give the solver a method with_sample(i).",
        )
    return give(sample)


def _give(
    outlet: _Outlet[Result],
    keep: Callable[[Question, Result], None] | None,
    question: Question,
    result: Result,
) -> None:
    if keep is not None:
        keep(question, result)
    outlet.put(result)


def _answer_share(
    solver: Solver,
    jobs: deque[_Job],
    workers: int,
    stop: threading.Event,
    give: Callable[[Question, Result], None],
) -> None:
    hold: Callable[[], AbstractContextManager[object]]
    hold = getattr(solver, "hold", contextlib.nullcontext)
    work = partial(_answer_jobs, solver.name, jobs, stop, give)
    try:
        with hold():
            # In this thread's context, in which ``cancelled()`` says when to stop.
            threads = [
                threading.Thread(
                    target=contextvars.copy_context().run,
                    args=(work,),
                    name=f"{solver.name} {number}",
                    daemon=True,
                )
                for number in range(workers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    except Exception as error:  # the model could not be held: so none of the jobs was begun
        failed = _failed(solver.name, error)
        for job in jobs:
            give(job.question, _result(solver.name, job, None, failed, None))


def _answer_jobs(
    name: str,
    jobs: deque[_Job],
    stop: threading.Event,
    give: Callable[[Question, Result], None],
) -> None:
    while not stop.is_set():
        try:
            job = jobs.popleft()
        except IndexError:
            return
        give(job.question, _answer(name, job))


def _answer(name: str, job: _Job) -> Result:
    prompt: Prompt | None = None
    answer: Answer | None = None
    try:
        with _events(job.solver, job.question) as events:
            for event in events:
                if isinstance(event, Prompted):
                    prompt = event.prompt
                elif isinstance(event, Answered):
                    answer = event.answer
        failed = None if answer else Failed("The solver ended without an answer.")
    except Exception as error:
        failed = _failed(name, error)
    return _result(name, job, answer, failed, prompt)


def _result(
    name: str, job: _Job, answer: Answer | None, failed: Failed | None, prompt: Prompt | None
) -> Result:
    partial = failed.partial if failed else None
    return Result(
        name,
        job.question.id,
        job.sample,
        answer,
        error=failed.error if failed else None,
        partial=Step(prompt, partial) if prompt and partial else None,
    )


@contextlib.contextmanager
def _events(solver: Solver, question: Question) -> Generator[Any]:
    """Give a solver's events, and close them, which stops the work."""
    events = solver.stream(question)
    try:
        yield events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


def _failed(name: str, error: Exception) -> Failed:
    """Return what a reader is told of an error, with what had come until then."""
    if isinstance(error, WorkbenchError):
        log.info("%s failed", name, exc_info=error)
        partial = error.partial if isinstance(error, BackendError) else None
        return Failed(str(error), partial)
    # A bug or a library's surprise: still one column's matter, with a word on where.
    log.error("%s broke", name, exc_info=error)
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return Failed(f"{public(cause)} (--debug shows more)")


def _check_names(solvers: Sequence[Solver]) -> None:
    names = [solver.name for solver in solvers]
    if len(set(names)) != len(names):
        raise ValueError(f"solver names are not unique: {names}")
