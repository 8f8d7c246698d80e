"""The solutions of problem sets: what must not stand in a corpus that is to help solve them."""

from __future__ import annotations

import ast
from pathlib import Path

from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.suites.sources import data_file, read_file

SOLUTIONS = Registry("suite with solutions")
SOLUTIONS.add(
    "humaneval",
    "workbench.suites.solutions:humaneval",
    "HumanEval: 164 Python functions; out of its package, or WORKBENCH_DATA",
)
SOLUTIONS.add(
    "mbpp",
    "workbench.suites.solutions:mbpp",
    "MBPP, sanitized: 427 short Python programs; in WORKBENCH_DATA",
)
SOLUTIONS.add(
    "leetcode",
    "workbench.suites.solutions:leetcode",
    "LeetCodeDataset: 2,100 Python classes; in WORKBENCH_DATA",
)
SOLUTIONS.add(
    "cosqa",
    "workbench.suites.solutions:cosqa",
    "CoSQA: the 6,267 Python functions to search in; in WORKBENCH_DATA",
)


def load_solutions(name: str) -> dict[str, str]:
    """Return the solutions of a suite by the ids of their problems.

    ``name`` is one of ``SOLUTIONS``, or the path of a JSONL file (``.jsonl``, or ``.jsonl.gz``)
    whose rows have an ``id`` and a ``solution``.

    Raises:
        UnknownName: it is neither.
        BadInput: a file is missing or malformed; the message says which, and where to put it.
    """
    if name in SOLUTIONS:
        solutions: dict[str, str] = SOLUTIONS.load(name)()
        return solutions
    path = Path(name).expanduser()
    if not path.is_file():
        raise UnknownName(
            SOLUTIONS.kind,
            name,
            [entry.name for entry in SOLUTIONS],
            "A JSONL file with id and solution is one, too.",
        )
    return _read(path, "id", "solution")


def humaneval() -> dict[str, str]:
    """Return HumanEval's canonical solutions, without the docstrings that ask for them."""
    from workbench.suites.humaneval import load

    return {
        example.question.id: _without_docstrings(example.reference.texts[0])
        for example in load().examples
        if example.reference.texts
    }


def _without_docstrings(code: str) -> str:
    """Return a Python program without the texts in it that do nothing, each in lines of its own."""
    lines = code.splitlines(keepends=True)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            first, last = node.lineno - 1, node.end_lineno
            lines[first:last] = [""] * len(lines[first:last])  # so that the numbers stay
    return "".join(lines)


def mbpp() -> dict[str, str]:
    """Return the reference programs of MBPP's sanitized problems."""
    return _read(data_file("mbpp-sanitized/sanitized-mbpp.json"), "task_id", "code")


def leetcode() -> dict[str, str]:
    """Return the reference solutions of LeetCodeDataset: its training and its test problems."""
    train = data_file("leetcode/LeetCodeDataset-v0.2.0-train.jsonl.gz")
    test = data_file("leetcode/LeetCodeDataset-v0.3.1-test.jsonl.gz")
    return _read(train, "task_id", "completion") | _read(test, "task_id", "completion")


def cosqa() -> dict[str, str]:
    """Return the functions of CoSQA's pool by their numbers."""
    return _read(data_file("cosqa/code_idx_map.txt"), "number", "code")


def _read(path: Path, name: str, *parts: str) -> dict[str, str]:
    """Return the solutions of a file by the field ``name``, each joined from the fields ``parts``.

    Raises:
        BadInput: the file is damaged, a row lacks a field, or an id stands there twice.
    """
    solutions: dict[str, str] = {}
    try:
        for row in read_file(path):
            code = "".join(row[part] for part in parts)
            key = str(row[name])
            if not code.strip() or key in solutions:
                raise ValueError(f"{key} is empty, or stands there twice")
            solutions[key] = code
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"a row lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"The solutions in {path} cannot be read: {what}.") from error
    if not solutions:
        raise BadInput(f"There are no solutions in {path}.")
    return solutions
