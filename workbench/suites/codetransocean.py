"""CodeTransOcean: programs of Rosetta Code with what they print (Yan et al. 2023).

What is expected is what the data set's own program in the *other* language printed, not what the
Python program prints. Both solve one task, but few print the very same: run here, 14 of 339 Python
programs did. So ``python-java``, the published direction, marks nearly
every faithful translation wrong; ``java-python`` asks for what can be judged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from workbench.errors import BadInput
from workbench.languages import language
from workbench.suites.problems import Suite
from workbench.suites.sources import Row, data_file, make_each, read_rows, sha256_of
from workbench.types import Example, OutputTests, Question, Reference, Run, SourceFile

FILE = "codetransocean/data_intro.json"
# Visual Basic, the seventh, is no language of the workbench; C is written and run as C++.
FIELDS: Mapping[str, str] = {
    "c": "C",
    "cpp": "C++",
    "java": "Java",
    "csharp": "C#",
    "go": "Go",
    "php": "PHP",
}

# What makes a program print something else each time, or somewhere else.
_CHANGING = re.compile(
    r"\brand(?:om|int|n)?\b|\bs?rand\s*\(|\brand\.|\bRandom\b|\bmt_rand\b|\bshuffle\b|\btime\s*\("
    r"|\btime\.|\bdatetime\b|\bDateTime\b|\bnew Date\b|\bclock\s*\(|\bnanoTime\b|\bStopwatch\b"
    r"|\bcurrentTimeMillis\b|\bhashCode\b|\bgetenv\b|\bargv\b|\binput\s*\(|\bscanf\b|\bScanner\b"
    r"|\bReadLine\b|\bcin\b|\bargs\[|os\.Args|\bfopen\b|%p\b|debug_print_backtrace|StackTrace"
)


def load(argument: str) -> Suite:
    """Read a pair of languages of which one is Python; ``java`` alone means ``python-java``.

    Raises:
        BadInput: there is no such pair, WORKBENCH_DATA lacks the file, or it is damaged.
    """
    source, target = _pair(argument)
    field = FIELDS[target if source == "python" else source]
    path = data_file(FILE)
    data = path.read_bytes()
    rows = read_rows(f"{path.name}l", data)  # JSON lines, whatever it is called
    seen: Counter[int] = Counter()  # a task may have several pairs of programs under one number
    made = make_each(str(path), rows, lambda row: _example(row, field, source, target, seen))
    mine = [example for example in made if example is not None]
    stable = tuple(example for example in mine if example.tags["output"] == "stable")
    published = source == "python"
    warning = (
        f"It is what the {field} program of the data set prints, which the Python program seldom"
        " does: as published, nearly every faithful translation counts as wrong."
        if published
        else "The data set's own direction is the other one, where source and output disagree."
    )
    return Suite(
        name=f"codetransocean:{source}-{target}",
        task="translate",
        examples=stable,
        license="Apache-2.0",
        citation=(
            "Yan et al., CodeTransOcean: A Comprehensive Multilingual Benchmark for Code"
            " Translation, EMNLP Findings 2023"
        ),
        origin="LLMTrans of CodeTransOcean (WeixiangYAN/CodeTransOcean), in WORKBENCH_DATA",
        checksum=sha256_of(data),
        metrics=("pass@1", "CodeBLEU"),
        note=(
            f"{len(mine) - len(stable)} of {len(mine)} programs are left out, as what they print"
            f" changes with time, chance or input. Expected is an output. {warning} In some rows"
            " line breaks of the output were lost."
        ),
    )


def _pair(argument: str) -> tuple[str, str]:
    words = argument.strip().lower().split("-")
    names = [_name(word) for word in words]
    if len(names) == 1:
        names.insert(0, "python")
    if len(names) != 2 or names.count("python") != 1 or not set(names) <= {"python", *FIELDS}:
        raise BadInput(
            f"CodeTransOcean has no '{argument}'.",
            f"Write codetransocean:LANGUAGE or LANGUAGE-python, with one of {', '.join(FIELDS)}.",
        )
    return names[0], names[1]


def _name(word: str) -> str:
    return word if word in FIELDS else language(word).name


def _example(row: Row, field: str, source: str, target: str, seen: Counter[int]) -> Example | None:
    """Make an example of a row, or None where it is of another language."""
    if field not in row:
        return None
    codes = {
        name: row["Python" if name == "python" else field].strip() + "\n"
        for name in (source, target)
    }
    seen[row["id"]] += 1
    nth = f"-{seen[row['id']]}" if seen[row["id"]] > 1 else ""
    changes = any(_CHANGING.search(code) for code in codes.values())
    given, wanted = language(source), language(target)
    return Example(
        Question(
            id=f"codetransocean-{source}-{target}/{row['id']}{nth}",
            task="translate",
            text="Print exactly what it prints.",
            language=given.name,
            target_language=wanted.name,
            files=(SourceFile(f"program{given.endings[0]}", codes[source], given.name),),
        ),
        Reference(
            texts=(codes[target],),
            tests=OutputTests(runs=(Run(stdin="", stdout=row["output"]),)),
        ),
        {"source": source, "target": target, "output": "changing" if changes else "stable"},
    )
