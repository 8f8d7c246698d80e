"""workbench-mini: the workbench's own 24 problems, in seven languages and for all three tasks."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.corpus.manifest import manifest_folder
from workbench.errors import BadInput
from workbench.languages import Language, language
from workbench.suites.problems import Suite
from workbench.suites.sources import sha256_of
from workbench.types import Call, CallTests, Example, Question, Reference, SourceFile, TaskName

NAME = "workbench-mini"
_WORDS = {
    "int": "an integer",
    "float": "a floating-point number",
    "str": "a string",
    "bool": "a boolean",
    "list[int]": "a list of integers",
    "list[float]": "a list of floating-point numbers",
    "list[str]": "a list of strings",
    "list[list[int]]": "a list of lists of integers",
    "dict[str, int]": "a map from strings to integers",
}
_WISH = "Answer with one short sentence that says what the function does."


def load(argument: str = "") -> Suite:
    """Read the problems, to be written (in Python, or another language), translated or summarized.

    ``java`` writes them in Java, ``python-java`` translates from Python to Java, and ``summarize``
    or ``summarize/java`` asks what a reference does; its tests are for the metric "round trip".

    Raises:
        UnknownName: a language is none of the workbench's.
        BadInput: the argument is neither.
    """
    first, dash, second = argument.partition("-")
    if argument.partition("/")[0] == "summarize":
        spoken = language(argument.partition("/")[2] or "python")
        examples = tuple(_summarize(one, spoken) for one in _problems())
        return _suite(argument, "summarize", examples, ("BLEU", "ROUGE-L", "chrF"))
    if dash:
        source, target = language(first), language(second)
        if source is target:
            raise BadInput("The two languages of a translation are the same.", "Write python-java.")
        examples = tuple(_translate(one, source, target) for one in _problems())
        return _suite(argument, "translate", examples, ("pass@1", "CodeBLEU"))
    wanted = language(first or "python")
    examples = tuple(_generate(one, wanted) for one in _problems())
    return _suite(argument, "generate", examples, ("pass@1", "CodeBLEU"))


def _suite(
    argument: str, task: TaskName, examples: tuple[Example, ...], metrics: tuple[str, ...]
) -> Suite:
    files = sorted(path for path in folder().rglob("*") if path.is_file())
    return Suite(
        name=f"{NAME}:{argument}" if argument else NAME,
        task=task,
        examples=examples,
        license="MIT",
        citation="the code workbench",
        origin="written for the workbench; it comes with the package",
        checksum=sha256_of(*(path.read_bytes() for path in files)),
        metrics=metrics,
        note="Small and easy: for tests, demos and teaching. Models may have seen its like.",
    )


def folder() -> Path:
    """Return the folder of the problems and of the references in each language."""
    return manifest_folder() / NAME


@lru_cache(maxsize=1)
def _problems() -> tuple[Mapping[str, Any], ...]:
    with (folder() / "problems.toml").open("rb") as file:
        return tuple(tomllib.load(file)["problem"])


def reference(problem: str, spoken: Language) -> str:
    """Return the reference program of a problem in a language."""
    path = folder() / spoken.name / f"{problem}{spoken.endings[0]}"
    return path.read_text(encoding="utf-8")


def _tests(problem: Mapping[str, Any], name: str | None = None) -> CallTests:
    return CallTests(
        entry_point=name or problem["id"],
        parameters=tuple((name, kind) for name, kind in problem["parameters"]),
        returns=problem["returns"],
        calls=tuple(Call(tuple(args), expected) for args, expected in problem["calls"]),
    )


def _tags(problem: Mapping[str, Any], **more: str) -> dict[str, str]:
    return {"difficulty": problem["difficulty"], "topic": problem["topic"], **more}


def _called(problem: Mapping[str, Any], spoken: Language) -> str:
    """Return what the function is called in a language, in that language's own style."""
    words: list[str] = problem["id"].split("_")
    if spoken.name in ("go", "csharp"):
        return "".join(word.capitalize() for word in words)
    if spoken.name in ("java", "javascript"):
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return "_".join(words)


def _signature(problem: Mapping[str, Any], spoken: Language) -> str:
    name = _called(problem, spoken)
    where = " as a static method of the class Solution" if spoken.name in ("java", "csharp") else ""
    takes = ", ".join(f"`{one}` ({_WORDS[kind]})" for one, kind in problem["parameters"])
    gives = _WORDS[problem["returns"]]
    # Small models append tests of their own, which are wrong, and run them: the program then fails.
    alone = "Write it alone, without tests or examples of its use."
    return f"Name the function `{name}`{where}. It takes {takes} and returns {gives}. {alone}"


def _generate(problem: Mapping[str, Any], wanted: Language) -> Example:
    return Example(
        Question(
            id=f"mini/{problem['id']}",
            task="generate",
            text=f"{problem['text']} {_signature(problem, wanted)}",
            target_language=wanted.name,
        ),
        Reference((reference(problem["id"], wanted),), _tests(problem)),
        _tags(problem),
    )


def _translate(problem: Mapping[str, Any], source: Language, target: Language) -> Example:
    name = f"{problem['id']}{source.endings[0]}"
    return Example(
        Question(
            id=f"mini/{problem['id']}",
            task="translate",
            text=_signature(problem, target),
            language=source.name,
            target_language=target.name,
            files=(SourceFile(name, reference(problem["id"], source), source.name),),
        ),
        Reference((reference(problem["id"], target),), _tests(problem)),
        _tags(problem, source=source.name, target=target.name),
    )


def _summarize(problem: Mapping[str, Any], spoken: Language) -> Example:
    # The name would give the summary away, and to whoever writes the round trip, the code.
    name = "F" if spoken.name in ("go", "csharp") else "f"
    code = reference(problem["id"], spoken).replace(_called(problem, spoken), name)
    return Example(
        Question(
            id=f"mini/{problem['id']}",
            task="summarize",
            text=_WISH,
            language=spoken.name,
            files=(SourceFile(f"program{spoken.endings[0]}", code, spoken.name),),
        ),
        Reference((problem["summary"],), _tests(problem, "f")),
        _tags(problem),
    )
