"""Problems of your own: a file of JSON lines (``.jsonl``, ``.jsonl.gz``) or Parquet.

Each row is one problem, with these fields. All but ``id`` may be left out, and a field that is
null counts as left out.

- ``id``: text or a number, given once in the file.
- ``task``: ``generate`` (where nothing is said), ``summarize`` or ``translate``; the same in all
  rows of a file.
- ``text``: the request; to summarize and translate, a wish beside the code.
- ``code``: the code to summarize or to translate.
- ``language``: of ``code``. ``target_language``: of the answer; Python where a program is to be
  written and nothing is said.
- ``audience``: whom a summary is for.
- ``references``: right answers, a list of texts; ``reference`` is a single one.
- ``prefix``: how the answer begins, where a bare completion may be given.
- ``tags``: an object of texts to split the results by, as ``{"difficulty": "easy"}``.
- ``tests``: one object of these three forms.

  - A program in the language of the answer: ``{"program": "assert add(1, 2) == 3"}``, with
    ``entry_point``, ``prelude`` and ``stub`` where needed (see ``ProgramTests``).
  - Calls, the same in every language: ``{"entry_point": "add", "parameters": {"a": "int", "b":
    "int"}, "returns": "int", "calls": [{"args": [1, 2], "expected": 3}]}``, with ``tolerance``,
    and with ``others`` in a call that has several right values (see ``CallTests``).
  - Runs of a whole program: ``{"runs": [{"stdin": "1 2", "stdout": "3"}]}``, with
    ``tolerance``; in place of ``stdout`` a run may have a ``digest`` (see ``OutputTests``).

A row in HumanEval's own form is one, too: ``task_id``, ``prompt``, ``test``, ``entry_point`` and
``canonical_solution``. In Parquet ``tests`` and ``tags`` are structs, or JSON as text. Other fields
are left alone, unless they look like one of these misspelt.

Everything is looked at before anything is run, and all that is wrong is said at once.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from workbench.errors import BadInput, MissingExtra
from workbench.languages import find_language, language
from workbench.suites.humaneval import example_of
from workbench.suites.problems import OWN_ENDINGS, Suite
from workbench.suites.sources import sha256_of
from workbench.types import (
    Call,
    CallTests,
    Example,
    OutputTests,
    ProgramTests,
    Question,
    Reference,
    Run,
    SourceFile,
    TaskName,
    Tests,
)

MAX_SAID = 20
"""So many mistakes are said in full."""

_TASKS: tuple[TaskName, ...] = get_args(TaskName)
_TEXTS = ("task", "text", "code", "language", "target_language", "audience", "reference", "prefix")
FIELDS = ("id", *_TEXTS, "references", "tests", "tags")
_HUMANEVAL = ("task_id", "prompt", "test", "entry_point", "canonical_solution")
_SHAPES: Mapping[str, frozenset[str]] = {
    "program": frozenset(("program", "entry_point", "prelude", "stub")),
    "calls": frozenset(("calls", "entry_point", "parameters", "returns", "tolerance")),
    "runs": frozenset(("runs", "tolerance")),
}
_SCALARS = ("int", "float", "str", "bool")
_DIGEST = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")

Row = Mapping[str, Any]


class _Mistakes:
    """All that is wrong with one file, each with its row and field."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.said: list[str] = []
        self.place = ""

    def add(self, field: str, what: str) -> None:
        where = f"{self.place}, {field}" if field else self.place
        self.said.append(f"{where}: {what}")

    def insist(self) -> None:
        """Raise BadInput if anything is wrong."""
        if self.said:
            more = len(self.said) - MAX_SAID
            rest = f"; and {more:,} more" if more > 0 else ""
            raise BadInput(
                f"{self._file}: {'; '.join(self.said[:MAX_SAID])}{rest}.",
                "The form of a row: workbench suites show file",
            )


def load(argument: str) -> Suite:
    """Read a file of problems.

    Raises:
        BadInput: there is no such file, or it is malformed; says every mistake with row and field.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    path = Path(argument).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror or error}.",
            f"Name a file of problems: {', '.join(OWN_ENDINGS)}.",
        ) from error
    mistakes = _Mistakes(path.name)
    examples = tuple(_examples(path, data, mistakes))
    mistakes.insist()
    if not examples:
        raise BadInput(f"There are no problems in {path.name}.", "Each row is one.")
    return Suite(
        name=f"file:{argument}",
        task=examples[0].question.task,
        examples=examples,
        license="as its owner says",
        citation=path.name,
        origin=f"the file {path.name}",
        checksum=sha256_of(data),
        metrics=_metrics(examples),
        note="A file of problems that was handed in.",
    )


def _metrics(examples: tuple[Example, ...]) -> tuple[str, ...]:
    if examples[0].question.task == "summarize":
        return ("BLEU", "ROUGE-L", "chrF")
    has_tests = any(example.reference.tests for example in examples)
    has_texts = any(example.reference.texts for example in examples)
    return ("pass@1",) * has_tests + ("CodeBLEU",) * has_texts


# --- rows ------------------------------------------------------------------------------


def _rows(path: Path, data: bytes, mistakes: _Mistakes) -> Iterator[Row]:
    """Yield the rows; ``mistakes.place`` says where each one stands."""
    rows = _parquet(path) if path.name.lower().endswith(".parquet") else _json_lines(path, data)
    for place, row in rows:
        mistakes.place = place
        if isinstance(row, str):
            mistakes.add("", row)
        elif not isinstance(row, dict):
            mistakes.add("", "it is no object")
        else:
            yield {key: value for key, value in row.items() if value is not None}


def _json_lines(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield place and value of each line; a text is what is wrong with it."""
    if path.name.lower().endswith(".gz"):
        import gzip
        import zlib

        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(f"{path.name} is damaged: {error}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8: {error}.", "Save it as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
                json.dumps(value, ensure_ascii=False).encode()
            except RecursionError:
                value = "it is nested too deeply"
            except json.JSONDecodeError as error:
                value = f"it is no JSON: {error.msg} at column {error.colno}"
            except ValueError as error:
                value = f"it is no JSON: {error}"
            yield f"row {number}", value


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("A Parquet file", "data") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise BadInput(f"{path.name} is no Parquet file: {error}.") from error
    for number, row in enumerate(rows, 1):
        yield f"row {number}", _without_nulls({**row, **_unpacked(row)})


def _unpacked(row: Row) -> dict[str, Any]:
    """Return the fields that Parquet holds as JSON."""
    found = {}
    for name in ("tests", "tags"):
        if isinstance(row.get(name), str):
            try:
                found[name] = json.loads(row[name])
            except ValueError:
                continue  # it is reported as what it is: a text
    return found


def _without_nulls(value: Any) -> Any:
    """Return a value without the keys that Parquet fills up with nulls."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _examples(path: Path, data: bytes, mistakes: _Mistakes) -> Iterator[Example]:
    ids: dict[str, str] = {}
    task = ""
    for row in _rows(path, data, mistakes):
        before = len(mistakes.said)
        example = _humaneval(row, mistakes) if _is_humaneval(row) else _example(row, mistakes)
        if example is None or len(mistakes.said) > before:
            continue
        id_, task = example.question.id, task or example.question.task
        if id_ in ids:
            mistakes.add("id", f"'{id_}' is that of {ids[id_]} already")
        if example.question.task != task:
            mistakes.add("task", f"it is {example.question.task}, and {task} in the rows before")
        ids.setdefault(id_, mistakes.place)
        yield example


def _is_humaneval(row: Row) -> bool:
    return "prompt" in row and "test" in row


def _humaneval(row: Row, mistakes: _Mistakes) -> Example | None:
    for name in _HUMANEVAL:
        if not isinstance(row.get(name, "" if name == "canonical_solution" else None), str):
            mistakes.add(name, "a row in HumanEval's form needs it, as text")
            return None
    try:
        return replace(example_of(row), tags=_tags(row, mistakes))
    except (SyntaxError, ValueError) as error:
        mistakes.add("prompt", str(error))
        return None


def _example(row: Row, mistakes: _Mistakes) -> Example | None:
    _find_misspelt(row, mistakes)
    id_ = row.get("id", row.get("task_id"))
    if isinstance(id_, bool) or not isinstance(id_, str | int) or not str(id_).strip():
        mistakes.add("id", "it is missing, or neither text nor a number")
    told = {name: _text(row, name, mistakes) for name in _TEXTS}
    task = told["task"] or "generate"
    if task not in _TASKS:
        mistakes.add("task", f"'{task}' is none of {', '.join(_TASKS)}")
        return None
    languages = {
        name: _language(told[name], name, mistakes) for name in ("language", "target_language")
    }
    if task == "generate" and not languages["target_language"]:
        languages["target_language"] = "python"
    _check_task(task, told, mistakes)
    answer_in = languages["target_language"] if task != "summarize" else languages["language"]
    texts = _references(row, told["reference"], mistakes)
    tests = _tests(row, answer_in or "python", mistakes)
    if not texts and "tests" not in row:
        mistakes.add("tests", "there are neither tests nor references, so nothing can be judged")
    files = (_file(told["code"], languages["language"]),) if told["code"] else ()
    question = Question(
        id=str(id_),
        task=task,
        text=told["text"],
        language=languages["language"],
        target_language=languages["target_language"] if task != "summarize" else None,
        audience=told["audience"] or None,
        files=files,
    )
    return Example(
        question,
        Reference(texts=texts, tests=tests, prefix=told["prefix"]),
        _tags(row, mistakes),
    )


def _find_misspelt(row: Row, mistakes: _Mistakes) -> None:
    for name in row.keys() - {*FIELDS, *_HUMANEVAL}:
        near = difflib.get_close_matches(str(name), FIELDS, n=1, cutoff=0.8)
        if near and near[0] not in row:
            mistakes.add(str(name), f"there is no such field: is '{near[0]}' meant?")


def _text(row: Row, name: str, mistakes: _Mistakes) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        mistakes.add(name, f"it is {_kind(value)}, not text")
        return ""
    return value


def _language(word: str, name: str, mistakes: _Mistakes) -> str | None:
    if not word:
        return None
    known = find_language(word)
    if known is None:
        mistakes.add(name, f"'{word}' is no language of the workbench")
        return None
    return known.name


def _check_task(task: str, told: Mapping[str, str], mistakes: _Mistakes) -> None:
    if task == "generate":
        if not told["text"].strip():
            mistakes.add("text", "a program is asked for, and nothing says which")
        return
    if not told["code"].strip():
        mistakes.add("code", f"there is none to {task}")
    if task == "translate":
        for name in ("language", "target_language"):
            if not told[name]:
                mistakes.add(name, "a translation needs it")


def _file(code: str, spoken: str | None) -> SourceFile:
    ending = language(spoken).endings[0] if spoken else ".txt"
    return SourceFile(f"program{ending}", code, spoken)


def _references(row: Row, single: str, mistakes: _Mistakes) -> tuple[str, ...]:
    many = row.get("references", [])
    if not isinstance(many, list) or not all(isinstance(one, str) for one in many):
        mistakes.add("references", "it is no list of texts")
        return ()
    found = ((single,) if single else ()) + tuple(many)
    if not all(one.strip() for one in found):
        mistakes.add("references", "one of them is empty")
    return found


def _tags(row: Row, mistakes: _Mistakes) -> dict[str, str]:
    tags = row.get("tags", {})
    if not isinstance(tags, dict) or not all(
        isinstance(one, str | int | float) for one in tags.values()
    ):
        mistakes.add("tags", "it is no object of texts")
        return {}
    return {str(key): str(value) for key, value in tags.items()}


# --- tests -----------------------------------------------------------------------------


def _tests(row: Row, spoken: str, mistakes: _Mistakes) -> Tests | None:
    tests = row.get("tests")
    if tests is None:
        return None
    shapes = [name for name in _SHAPES if isinstance(tests, dict) and name in tests]
    if len(shapes) != 1:
        mistakes.add("tests", "it is no object with one of program, calls and runs")
        return None
    if unknown := sorted(tests.keys() - _SHAPES[shapes[0]]):
        mistakes.add(f"tests.{unknown[0]}", f"tests with {shapes[0]} have no such field")
        return None
    made = {"program": _program, "calls": _calls, "runs": _runs}[shapes[0]]
    try:
        return made(tests, spoken)
    except _Wrong as wrong:
        mistakes.add(f"tests.{wrong.field}", str(wrong))
        return None


class _Wrong(Exception):
    """A field of the tests that cannot be used."""

    def __init__(self, field: str, what: str) -> None:
        self.field = field
        super().__init__(what)


def _insist(holds: bool, field: str, what: str) -> None:
    if not holds:
        raise _Wrong(field, what)


def _program(tests: Row, spoken: str) -> Tests:
    told = {name: tests.get(name, "") for name in _SHAPES["program"]}
    for name, value in told.items():
        _insist(isinstance(value, str), name, f"it is {_kind(value)}, not text")
    _insist(bool(told["program"].strip()), "program", "it is empty")
    if spoken == "python":
        for name in ("program", "prelude"):
            try:
                compile(told[name], name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                raise _Wrong(name, f"it is no Python: {error}") from error
    return ProgramTests(
        language=spoken,
        code=told["program"],
        entry_point=told["entry_point"] or None,
        prelude=told["prelude"],
        stub=told["stub"],
    )


def _calls(tests: Row, _: str) -> Tests:
    name, calls = str(tests.get("entry_point", "")), tests["calls"]
    _insist(name.isidentifier(), "entry_point", "it is no function's name")
    parameters = tests.get("parameters", [])
    _insist(isinstance(parameters, dict), "parameters", "it is no object of names and types")
    kinds = tuple((str(key), _type(kind, "parameters")) for key, kind in parameters.items())
    returns = _type(tests.get("returns"), "returns")
    _insist(isinstance(calls, list) and bool(calls), "calls", "it is no list, or an empty one")
    made = tuple(_call(one, f"calls[{i}]", kinds, returns) for i, one in enumerate(calls))
    tolerance = _tolerance(tests)
    options = {} if tolerance is None else {"tolerance": tolerance}
    return CallTests(name, kinds, returns, made, **options)


def _call(call: Any, place: str, kinds: tuple[tuple[str, str], ...], returns: str) -> Call:
    fits = isinstance(call, dict) and isinstance(call.get("args"), list) and "expected" in call
    _insist(fits, place, "it has no args, a list, or no expected")
    others = call.get("others", [])
    _insist(isinstance(others, list), f"{place}.others", "it is no list")
    count = len(call["args"])
    _insist(count == len(kinds), f"{place}.args", f"it has {count} of {len(kinds)} arguments")
    for (name, kind), value in zip(kinds, call["args"], strict=True):
        _insist(_is(value, kind), f"{place}.args", f"{name} is no {kind}: {_short(value)}")
    for value in (call["expected"], *others):
        _insist(_is(value, returns), f"{place}.expected", f"it is no {returns}: {_short(value)}")
    return Call(tuple(call["args"]), call["expected"], tuple(others))


def _runs(tests: Row, _: str) -> Tests:
    runs = tests["runs"]
    _insist(isinstance(runs, list) and bool(runs), "runs", "it is no list, or an empty one")
    made = tuple(_run(one, f"runs[{i}]") for i, one in enumerate(runs))
    return OutputTests(made, _tolerance(tests))


def _run(run: Any, place: str) -> Run:
    _insist(isinstance(run, dict), place, "it is no object")
    stdin, stdout, digest = run.get("stdin", ""), run.get("stdout"), run.get("digest")
    _insist(isinstance(stdin, str), f"{place}.stdin", "it is no text")
    _insist((stdout is None) != (digest is None), place, "it needs either stdout or digest")
    _insist(stdout is None or isinstance(stdout, str), f"{place}.stdout", "it is no text")
    known = digest is None or (isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None)
    _insist(known, f"{place}.digest", "it is no md5:... or sha256:... in small letters")
    return Run(stdin, stdout, digest)


def _tolerance(tests: Row) -> float | None:
    value = tests.get("tolerance")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = value is None or (is_number and math.isfinite(value) and value >= 0)
    _insist(fits, "tolerance", "it is no number of 0 or more")
    return None if value is None else float(value)


def _type(kind: Any, field: str) -> str:
    _insist(isinstance(kind, str), field, "a type is missing")
    name: str = kind.replace(" ", "")
    inner = name
    while inner.endswith("]"):
        if inner.startswith("list["):
            inner = inner[5:-1]
        elif inner.startswith("dict[str,"):
            inner = inner[9:-1]
        else:
            break
    _insist(
        inner in _SCALARS,
        field,
        f"'{kind}' is none of int, float, str, bool, list[T], dict[str, T]",
    )
    return name.replace("dict[str,", "dict[str, ")


def _is(value: Any, kind: str) -> bool:
    """Whether a JSON value is of a type."""
    if kind.startswith("list["):
        return isinstance(value, list) and all(_is(one, kind[5:-1]) for one in value)
    if kind.startswith("dict["):
        item = kind.removeprefix("dict[str, ")[:-1]
        return isinstance(value, dict) and all(_is(one, item) for one in value.values())
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float)
    return isinstance(value, int if kind == "int" else str)


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "no text")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
