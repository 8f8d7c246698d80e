"""HumanEval-X: HumanEval's problems in five languages, to be carried over (Zheng et al. 2023).

The program to translate is the one of the data set; the tests of the target language stay hidden.
As in the paper, the target's declaration is given, since its tests call it by that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import BadInput
from workbench.languages import language
from workbench.suites.problems import Suite
from workbench.suites.sources import data_file, make_each, read_file, sha256_of
from workbench.types import Example, ProgramTests, Question, Reference, SourceFile

FILES: Mapping[str, str] = {
    "python": "humaneval-x/humaneval_python.jsonl.gz",
    "cpp": "humaneval-x/humaneval_cpp.jsonl.gz",
    "java": "humaneval-x/humaneval_java.jsonl.gz",
    "javascript": "humaneval-x/humaneval_js.jsonl.gz",
    "go": "humaneval-x/humaneval_go.jsonl.gz",
}

# Where a function begins, up to the character behind which its body starts. The last match in a
# declaration is the function that is asked for; helpers stand before it.
_HEADS: Mapping[str, re.Pattern[str]] = {
    "python": re.compile(r"^def (\w+)\(.*\).*:[ \t]*$", re.MULTILINE),
    "cpp": re.compile(r"^\w[\w<>,:*& ]*[ >*&](\w+)\s*\([^(){};]*\)\s*\{", re.MULTILINE),
    "java": re.compile(r"^ +(?:public|static)[^;{}=]* (\w+)\([^;{}]*\)[^;{}()]*\{", re.MULTILINE),
    "javascript": re.compile(r"^(?:const|let|var) (\w+) = (?:async )?\(.*\) => \{", re.MULTILINE),
    "go": re.compile(r"^func (\w+)\(.*\{[ \t]*$", re.MULTILINE),
}


@dataclass(frozen=True, slots=True)
class Program:
    """One problem in one language.

    ``declaration`` ends where the body of ``entry_point`` begins, and ``before`` is what stands
    above the function: imports, helpers, the head of a class. ``stub`` is the head of the function
    itself, and ``whole`` the solution.
    """

    number: int
    language: str
    entry_point: str
    before: str
    declaration: str
    stub: str
    whole: str
    test: str


def load(argument: str) -> Suite:
    """Read a pair of languages, as ``python-java``: 164 programs to translate.

    Raises:
        UnknownName: a language is none of the workbench's.
        BadInput: the pair is none, or WORKBENCH_DATA lacks the files.
    """
    source, target = _pair(argument)
    sources, targets = read_programs(source), read_programs(target)
    paths = [data_file(FILES[name]) for name in (source, target)]
    return Suite(
        name=f"humaneval-x:{source}-{target}",
        task="translate",
        examples=tuple(
            _example(sources[number], program)
            for number, program in targets.items()
            if number in sources
        ),
        license="Apache-2.0",
        citation=(
            "Zheng et al., CodeGeeX: A Pre-Trained Model for Code Generation with Multilingual"
            " Benchmarking on HumanEval-X, KDD 2023"
        ),
        origin="the benchmark folder of CodeGeeX (THUDM/CodeGeeX), in WORKBENCH_DATA",
        checksum=sha256_of(*(path.read_bytes() for path in paths)),
        metrics=("pass@1", "CodeBLEU"),
        note=(
            "The declaration of the target is part of the question. Problem 162 needs MD5, and a"
            " few C++ ones need boost or OpenSSL: see what check says here."
        ),
    )


def _pair(argument: str) -> tuple[str, str]:
    words = argument.split("-")
    if len(words) != 2:
        raise BadInput(
            f"'{argument}' is no pair of languages.",
            "Write humaneval-x:FROM-TO, as humaneval-x:python-java.",
        )
    source, target = (language(word).name for word in words)
    for name in (source, target):
        if name not in FILES:
            raise BadInput(f"HumanEval-X has no {name}.", f"It has {', '.join(FILES)}.")
    if source == target:
        raise BadInput("The two languages of a translation are the same.", "Write python-java.")
    return source, target


def read_programs(name: str) -> dict[int, Program]:
    """Return the programs of one language by their numbers, 0 to 163.

    Raises:
        BadInput: WORKBENCH_DATA lacks the file, or it is damaged.
    """
    path = data_file(FILES[name])
    programs = make_each(str(path), read_file(path), lambda row: _program(name, row))
    return {program.number: program for program in programs}


def _program(name: str, row: Mapping[str, Any]) -> Program:
    given = row["declaration"].lstrip("\n")
    heads = list(_HEADS[name].finditer(given))
    if not heads:
        raise ValueError(f"{row['task_id']} declares no function")
    head = heads[-1]
    imports = f"{row['import'].strip()}\n\n" if row.get("import", "").strip() else ""
    helpers = _go_helpers(row) if name == "go" else ""
    # The declaration of C++ 38 runs on into the solution.
    start = given[: head.end()] + "\n" if name == "cpp" else given
    return Program(
        number=int(row["task_id"].rpartition("/")[2]),
        language=name,
        entry_point=head[1],
        before=(imports if name == "go" else "") + helpers + given[: head.start()],
        declaration=given[: head.end()],
        stub=given[head.start() : head.end()],
        whole=imports + helpers + start + row["canonical_solution"],
        test=row.get("test_setup", "") + row["test"],
    )


def _go_helpers(row: Mapping[str, Any]) -> str:
    """Return the functions of a Go problem that its prompt alone has, "" for most."""
    text = re.sub(r"^//.*\n|^import \((?:.|\n)*?^\)\n", "", row["prompt"], flags=re.MULTILINE)
    # Go/65 writes the same declaration with other spaces.
    declaration = re.escape(row["declaration"].strip()).replace(r",\ ", r",\s*")
    before = re.sub(rf"{declaration}\Z", "", text.strip()).strip()
    return f"{before}\n\n" if before.startswith("func ") else ""


def _example(source: Program, target: Program) -> Example:
    spoken = language(target.language)
    return Example(
        Question(
            id=f"{source.language}-{target.language}/{target.number}",
            task="translate",
            text=(
                f"Begin the {spoken.title} program like this:\n\n"
                f"```{spoken.tags[0]}\n{target.declaration}\n```"
            ),
            language=source.language,
            target_language=target.language,
            files=(
                SourceFile(
                    f"program{language(source.language).endings[0]}",
                    source.whole.rstrip() + "\n",
                    source.language,
                ),
            ),
        ),
        Reference(
            texts=(target.whole,),
            tests=ProgramTests(
                language=target.language,
                code=target.test,
                entry_point=target.entry_point,
                prelude=target.before,
                stub=target.stub,
            ),
            prefix=target.declaration,
        ),
        {"source": source.language, "target": target.language},
    )
