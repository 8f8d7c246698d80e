"""Measure what grading costs generation: a whole evaluation beside its generation alone.

In turns, in a home of their own each time, with the same backend, prompts and sampling, and no
answer cache: ``run_batch``, which answers and stores; and an evaluation by pass@1, which answers,
stores, grades each answer in the sandbox while the next ones are made, and stores the scores. The
ratio is that of the wall times within a round; both begin with the model in memory. ``--write``
writes ``evaluation.md`` beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from workbench.backends import load_backend
from workbench.backends.ready import Calls
from workbench.batch import finish as finish_batch
from workbench.batch import run_batch
from workbench.evaluation import evaluate_solvers, finish
from workbench.machine import hardware
from workbench.settings import settings
from workbench.spec import solver
from workbench.suites import Suite, load_problems
from workbench.types import Solver

TABLE = Path(__file__).with_name("evaluation.md")
TARGET = 1.05


def main() -> None:
    """Measure, print, and say whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="humaneval")
    parser.add_argument("--backend", default="llama-cpp/qwen2.5-coder-0.5b")
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    suite = load_problems(options.suite, limit=options.limit)
    load_backend(options.backend)
    rounds = []
    for number in range(options.rounds):
        # Whoever comes second finds the machine warmer: they take turns at it.
        order = (alone, whole) if number % 2 == 0 else (whole, alone)
        with home():
            taken = {one: one(suite, answering(options)) for one in order}
        rounds.append((taken[alone], taken[whole]))
        print(f"round {number + 1}: alone {rounds[-1][0]:.1f} s, whole {rounds[-1][1]:.1f} s")
    text = told(options, rounds)
    print(text)
    if options.write:
        TABLE.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def home() -> Iterator[None]:
    """Keep runs apart from the user's own, with the same weights and suites."""
    before, real = os.environ.get("WORKBENCH_HOME"), settings().home
    with tempfile.TemporaryDirectory() as folder:
        for name in ("models", "suites", "graders"):
            if (real / name).exists():
                (Path(folder) / name).symlink_to((real / name).resolve())
        os.environ["WORKBENCH_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("WORKBENCH_HOME")
            if before is not None:
                os.environ["WORKBENCH_HOME"] = before


def answering(options: argparse.Namespace) -> Solver:
    """Return the solver of both: greedy, asked anew."""
    calls = Calls.within(cache=False)
    return solver(options.backend, calls=calls, max_tokens=options.tokens, temperature=0.0)


def alone(suite: Suite, one: Solver) -> float:
    """Return the seconds that answering takes."""
    begun = time.perf_counter()
    done = finish_batch(run_batch([each.question for each in suite.examples], [one], {}))
    seconds = time.perf_counter() - begun
    assert not done.errors, "errors take another time than answers"
    return seconds


def whole(suite: Suite, one: Solver) -> float:
    """Return the seconds that answering and grading take."""
    begun = time.perf_counter()
    done = finish(evaluate_solvers(suite, [one], ["pass@1"]))
    seconds = time.perf_counter() - begun
    figure = done.figure(one.name, "pass@1")
    assert figure.judged == len(suite.examples), "what was not graded took no time"
    return seconds


def told(options: argparse.Namespace, rounds: list[tuple[float, float]]) -> str:
    """Return the measurements as Markdown."""
    ratios = [whole / alone for alone, whole in rounds]
    middle = statistics.median(ratios)
    here = hardware()
    rows = "\n".join(
        f"| {number} | {alone:.1f} | {whole:.1f} | {whole / alone:.3f} |"
        for number, (alone, whole) in enumerate(rounds, start=1)
    )
    return f"""# What grading costs generation

{options.backend} on {options.limit} problems of {options.suite}, at most {options.tokens} tokens,
greedy; {here["processor"]}, {here["cores"]} cores. Seconds, `{Path(__file__).name}`.

| round | generation alone | with grading by pass@1 | ratio |
|---|---|---|---|
{rows}

Median ratio {middle:.3f}; the target is at most {TARGET:.2f}: \
{"met" if middle <= TARGET else "not met"}.
"""


if __name__ == "__main__":
    main()
