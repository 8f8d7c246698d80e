"""The round trip of a summary: is it enough to write the code again?"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Protocol

from workbench.metrics.execution import Grades, graded, limited
from workbench.metrics.mean import CannotJudge, Mean
from workbench.types import Answer, CallTests, Example, ProgramTests, Question


class Writes(Protocol):
    """What writes code from a description: a backend, as whoever makes the metric sees fit."""

    def __call__(self, text: str, language: str, signature: str) -> str:
        """Return code in ``language`` that does what ``text`` says and has that signature.

        Raises:
            WorkbenchError: it could not be asked.
        """


def round_trip(*, ask: Writes, grader: Grades, writer: str = "unnamed") -> Mean:
    """Make the share of summaries from which code is written again that passes the tests.

    ``writer`` names what is behind ``ask``: another one gives other figures. The writer is told
    the summary, the language, and what the tests call, and sees nothing of the code.
    (Allamanis, Panthaplackel and Yin, Unsupervised Evaluation of Code LLMs with Round-Trip
    Correctness, ICML 2024.)
    """

    def judge(answer: Answer, example: Example) -> tuple[float, str]:
        tests = example.reference.tests
        language = example.question.language
        if tests is None:
            raise CannotJudge("no tests")
        if language is None:
            raise CannotJudge("no language is named")
        if not answer.text.strip():
            return 0.0, "no text"
        code = ask(answer.text, language, signature_of(example))
        # From here on it is as if that code had been asked for.
        asked = replace(example.question, target_language=language)
        return graded(grader, code, replace(example, question=asked), language)

    signature = f"round trip|writer:{writer}|{limited(grader)}"
    return Mean("round trip", signature, judge, verdict=True)


def signature_of(example: Example) -> str:
    """Return what a writer has to be told of the code so that tests can call it.

    The declaration alone: of a Python function, its ``def`` line without body; "" for a program
    that reads and prints.
    """
    tests = example.reference.tests
    if isinstance(tests, ProgramTests):
        return tests.stub or _declared(example.question, tests.entry_point or "")
    if isinstance(tests, CallTests):
        parameters = ", ".join(f"{name}: {kind}" for name, kind in tests.parameters)
        return f"{tests.entry_point}({parameters}) -> {tests.returns}"
    return ""


def _declared(question: Question, name: str) -> str:
    """Return the line that defines a Python function, or its name where none is found."""
    code = "\n".join(file.text for file in question.files) or question.text
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return name
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            return f"def {name}({ast.unparse(node.args)}){returns}:"
    return name
