"""Answers and their scores at the same time: what is finished is stored at once, in its thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cancel import cancelled, cancelled_by
from workbench.durable import point
from workbench.errors import Cancelled
from workbench.keys import public
from workbench.run import answer_all
from workbench.types import Score

if TYPE_CHECKING:
    from workbench.store import Key, Store
    from workbench.types import Answer, Example, Metric, Question, Result, Solver

log = logging.getLogger(__name__)

# Seconds after which a reader looks at ``cancelled()``, and news that it may be behind.
_LOOK = 0.2
_AHEAD = 256


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer was scored. ``failed`` are scores that are not stored: a metric broke."""

    key: Key
    scores: tuple[Score, ...]
    failed: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """An answer, and the metrics by which it is to be scored."""

    key: Key
    answer: Answer
    metrics: tuple[Metric, ...]


class Work:
    """Lets solvers answer and metrics score, side by side, and stores what each has finished.

    ``examples`` are the problems by question id. Answers are scored in threads of their own while
    the next ones are made. An answer is stored by the thread that made it before anybody is told,
    and so are its scores, all together: a program that dies, or a reader that leaves, loses none.
    What was cut off because the work is stopped is no answer and no score, and is not stored.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        examples: Mapping[str, Example],
        metrics: Sequence[Metric],
        scorers: int,
    ) -> None:
        self._store = store
        self._run = run
        self._examples = examples
        self._metrics = tuple(metrics)
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._news: queue.Queue[Result | Scored | None] = queue.Queue(maxsize=_AHEAD)
        self._failure: Exception | None = None
        self._scorers = scorers if metrics else 0

    def go(
        self,
        solvers: Sequence[Solver],
        samples: int,
        workers: int | None,
        done: Container[Key],
        unscored: Iterable[tuple[Result, tuple[Metric, ...]]],
    ) -> Generator[Result | Scored]:
        """Yield each result and each scoring when it is stored; closing it stops the work.

        Errors are yielded as results, and are stored, too. It ends by itself where the reader's
        thread is ``cancelled()``.

        Raises:
            Exception: whatever kept a thread from storing: a full disk, a locked file.
        """
        for result, metrics in unscored:
            if result.answer is not None:
                self._jobs.put(_Job(_key(result), result.answer, metrics))
        questions = [example.question for example in self._examples.values()]
        results = answer_all(
            questions, solvers, samples=samples, workers=workers, done=done, keep=self._keep
        )
        self._start("answers", lambda: self._answer(results))
        for number in range(self._scorers):
            self._start(f"scores {number}", self._score)
        try:
            yield from self._read(1 + self._scorers)
        finally:
            self._stop.set()
            self._end_scoring()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        threading.Thread(target=self._work, args=(work,), name=name, daemon=True).start()

    def _work(self, work: Callable[[], None]) -> None:
        try:
            with cancelled_by(self._stop):
                work()
        except Exception as error:
            self._fail(error)
        finally:
            self._tell(None)

    def _read(self, running: int) -> Generator[Result | Scored]:
        while running and self._failure is None and not cancelled():
            try:
                news = self._news.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if news is None:
                running -= 1
            else:
                yield news
        if self._failure is not None:
            raise self._failure

    def _answer(self, results: Generator[Result]) -> None:
        with closing(results):
            for result in results:
                if self._counts(result):
                    self._tell(result)
        self._end_scoring()

    def _keep(self, question: Question, result: Result) -> None:
        """Store a result, and let its answer be scored."""
        if not self._counts(result):
            return
        try:
            self._store.add(self._run, question, result)
        except Exception as error:
            self._fail(error)
            return
        point("evaluate.answer")
        if result.answer is not None and self._metrics:
            self._jobs.put(_Job(_key(result), result.answer, self._metrics))

    def _counts(self, result: Result) -> bool:
        """Say whether a result came to its end, and not to that of a work that was stopped."""
        if result.answer is None:
            return not self._stop.is_set()
        return all(
            call.is_complete or call.finish_reason == "refused"
            for call in (step.completion for step in result.answer.steps)
        )

    def _score(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stop.is_set():
            example = self._examples[job.key[1]]
            judged = [(one, *_judge(one, job.answer, example)) for one in job.metrics]
            if self._stop.is_set():  # which may be why a grader said what it said
                return
            sound = [(one.signature, score) for one, score, failed in judged if not failed]
            self._store.add_scores(self._run, job.key, sound)
            point("evaluate.score")
            failed = tuple(score for _, score, failed in judged if failed)
            self._tell(Scored(job.key, tuple(score for _, score in sound), failed))

    def _end_scoring(self) -> None:
        for _ in range(self._scorers):
            self._jobs.put(None)

    def _tell(self, news: Result | Scored | None) -> None:
        while not self._stop.is_set():
            try:
                self._news.put(news, timeout=_LOOK)
            except queue.Full:
                continue
            return

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()


def _judge(metric: Metric, answer: Answer, example: Example) -> tuple[Score, bool]:
    """Return a score, and whether the metric broke, so that this one says nothing."""
    try:
        return metric.score(answer, example), False
    except Cancelled as error:
        return Score(metric.name, None, str(error)), True
    except Exception as error:
        log.error("%s broke on %s", metric.name, example.question.id, exc_info=error)
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Score(metric.name, None, f"the metric failed: {public(cause)}"), True


def _key(result: Result) -> Key:
    return result.solver, result.question_id, result.sample
