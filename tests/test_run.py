"""Side by side: every solver in its own thread, each error in its own column, Stop that stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from workbench.cancel import cancelled
from workbench.errors import BackendError
from workbench.run import side_by_side
from workbench.types import Answer, Answered, Event, Failed, Question, Token

QUESTION = Question("q", "generate", "add two numbers")
ANSWER = Answer("done", "done", None, "raw")


@dataclass(frozen=True)
class Scripted:
    name: str
    script: Callable[[], Iterator[Event]]

    def stream(self, question: Question) -> Iterator[Event]:
        return self.script()


def speaks(*texts: str) -> Callable[[], Iterator[Event]]:
    def script() -> Iterator[Event]:
        yield from map(Token, texts)
        yield Answered(ANSWER)

    return script


def breaks(error: Exception) -> Callable[[], Iterator[Event]]:
    def script() -> Iterator[Event]:
        yield Token("half")
        raise error

    return script


def test_each_solver_keeps_its_own_order() -> None:
    solvers = [Scripted(name, speaks(*(f"{name}{i}" for i in range(300)))) for name in "abc"]
    updates = list(side_by_side(QUESTION, solvers))
    for name in "abc":
        texts = [
            update.event.text
            for update in updates
            if update.solver == name and isinstance(update.event, Token)
        ]
        assert texts == [f"{name}{i}" for i in range(300)]


def test_solvers_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def script() -> Iterator[Event]:
        meeting.wait()  # breaks, and fails the column, unless all three are here together
        yield Answered(ANSWER)

    updates = list(side_by_side(QUESTION, [Scripted(name, script) for name in "abc"]))
    assert [type(update.event) for update in updates] == [Answered] * 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BackendError("The server refused.", "Start it."), "The server refused. Start it."),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_fills_its_own_column_and_the_others_go_on(error: Exception, said: str) -> None:
    solvers = [Scripted("broken", breaks(error)), Scripted("sound", speaks("x"))]
    last = {update.solver: update.event for update in side_by_side(QUESTION, solvers)}
    assert isinstance(last["broken"], Failed)
    assert last["broken"].error.startswith(said)
    assert last["sound"] == Answered(ANSWER)


def test_two_solvers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="not unique"):
        list(side_by_side(QUESTION, [Scripted("a", speaks()), Scripted("a", speaks())]))


def test_closing_stops_a_solver_between_two_tokens_and_closes_it() -> None:
    closed = threading.Event()

    def endless() -> Iterator[Event]:
        try:
            while True:
                yield Token("x")
                time.sleep(0.01)
        finally:
            closed.set()

    updates = side_by_side(QUESTION, [Scripted("endless", endless)])
    next(updates)
    updates.close()
    assert closed.wait(2)


def test_closing_reaches_a_solver_that_blocks_before_its_first_token() -> None:
    blocked, ended = threading.Event(), threading.Event()

    def reads_a_long_prompt() -> Iterator[Event]:
        blocked.set()
        while not cancelled():
            time.sleep(0.01)
        ended.set()
        yield Token("too late")

    updates = side_by_side(
        QUESTION, [Scripted("slow", reads_a_long_prompt), Scripted("quick", speaks("x"))]
    )
    next(updates)
    assert blocked.wait(2)
    updates.close()
    assert ended.wait(2)


def test_a_reader_who_stops_reading_does_not_pile_up_tokens() -> None:
    made = 0

    def endless() -> Iterator[Event]:
        nonlocal made
        while True:
            made += 1
            yield Token("x")

    updates = side_by_side(QUESTION, [Scripted("endless", endless)])
    next(updates)
    time.sleep(0.3)
    assert made < 1000
    updates.close()
