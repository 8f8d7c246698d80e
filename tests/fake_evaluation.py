"""A small suite, solvers that count their calls, and metrics that judge without a sandbox.

Run as a program (``python fake_evaluation.py CALLS``), it evaluates them in the WORKBENCH_HOME of
its environment, and writes a line to the file CALLS before each call and one after it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.cancel import cancelled
from workbench.suites.problems import Suite
from workbench.types import (
    Answer,
    Answered,
    Completion,
    Event,
    Example,
    Message,
    Prompt,
    Prompted,
    Question,
    Reference,
    Score,
    Step,
    Token,
)

PROMPT = Prompt((Message("user", "add"),), "t")
DONE = Completion("x", 10, 5, 0.5, 0.1, "stop", "fake/one", cost=0.25)


def suite(questions: int = 6, name: str = "sums") -> Suite:
    """Return sums to write down, the right one being the reference."""
    examples = tuple(
        Example(
            Question(f"q{number}", "generate", f"What is {number} + 1?"),
            Reference((str(number + 1),)),
            {"difficulty": "easy" if number % 2 else "hard"},
        )
        for number in range(questions)
    )
    return Suite(name, "generate", examples, "MIT", "ours", "here", "0" * 64, ("exact",))


def says(text: str, completion: Completion = DONE) -> Answered:
    """Return the end of an answer."""
    step = Step(PROMPT, replace(completion, text=text))
    return Answered(Answer(text, text, None, "raw", steps=(step,)))


def right(question: Question, sample: int) -> Iterator[Event]:
    """Solve what is asked, but every third question."""
    number = int(question.id[1:])
    yield Prompted(PROMPT)
    yield Token("x")
    yield says(str(number + 1) if (number + sample) % 3 else "no idea")


def two_then_none(question: Question, sample: int) -> Iterator[Event]:
    """Answer the first two questions, and none of the others before somebody stops it."""
    if question.id in ("q0", "q1"):
        yield from right(question, sample)
        return
    while not cancelled():
        time.sleep(0.01)
    yield says("half", replace(DONE, finish_reason="cancelled"))


@dataclass
class Solves:
    """A solver that answers by ``script`` and notes what it was asked."""

    name: str = "fake"
    script: Callable[[Question, int], Iterator[Event]] = right
    workers: int = 2
    sample: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def with_sample(self, number: int) -> Solves:
        return replace(self, sample=number)

    def stream(self, question: Question) -> Iterator[Event]:
        self.asked.append((question.id, self.sample))
        yield from self.script(question, self.sample)


@dataclass
class Exact:
    """Says whether an answer is that of the key. ``version`` stands in its signature."""

    name: str = "exact"
    version: int = 1
    seconds: float = 0.0
    judge: Callable[[Answer, Example], Score] | None = None
    judged: list[str] = field(default_factory=list)
    closed: int = 0
    higher_is_better: bool = True
    verdict: bool = True
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def signature(self) -> str:
        return f"{self.name}|v:{self.version}"

    def score(self, answer: Answer, example: Example) -> Score:
        with self.guard:
            self.judged.append(example.question.id)
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and not cancelled():
            time.sleep(0.01)
        if self.judge is not None:
            return self.judge(answer, example)
        value = float(answer.text == example.reference.texts[0])
        return Score(self.name, value, "passed" if value else "wrong answer")

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        judged = [[one.value for one in some if one.value is not None] for some in by_question]
        means = [sum(some) / len(some) for some in judged if some]
        return sum(means) / len(means) if means else None

    def close(self) -> None:
        self.closed += 1


def main(less: bool = False) -> None:
    """Evaluate, and note each call in the file of the first argument; or ``less`` of it."""
    from workbench.evaluation import evaluate_solvers, finish

    file, guard = Path(sys.argv[1]), threading.Lock()

    def note(line: str) -> None:
        with guard, file.open("a", encoding="utf-8") as out:
            out.write(line + "\n")

    def script(name: str) -> Callable[[Question, int], Iterator[Event]]:
        def noted(question: Question, sample: int) -> Iterator[Event]:
            note(f"begin {name} {question.id} {sample}")
            time.sleep(0.01)
            events = list(right(question, sample))
            note(f"end {name} {question.id} {sample}")
            yield from events

        return noted

    solvers = [Solves(name, script(name)) for name in ("a", "b")]
    metrics = [Exact(seconds=0.005), Exact("again", 2)]
    print("begin", flush=True)
    if less:
        solvers, metrics = solvers[:1], metrics[:1]
    samples = 1 if less else 2
    going = evaluate_solvers(suite(), solvers, metrics, samples=samples, confirm=lambda _: True)
    done = finish(going)
    print(done.run, *(one.value for one in done.summary))


if __name__ == "__main__":
    main()
