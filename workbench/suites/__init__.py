"""Problem sets and retrieval suites."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import BadInput, UnknownName
from workbench.registry import Registry
from workbench.suites.problems import SUITES, Suite, load_problems
from workbench.suites.records import Query, RetrievalSuite, Unit

__all__ = [
    "RETRIEVAL_SUITES",
    "SUITES",
    "Query",
    "RetrievalSuite",
    "Suite",
    "Unit",
    "load_problems",
    "load_suite",
]

RETRIEVAL_SUITES = Registry("suite")
# ``needs`` is what stands behind the colon of a suite's name.
RETRIEVAL_SUITES.add(
    "cosqa",
    "workbench.suites.cosqa:load",
    "CoSQA: 500 web queries for one of 6,267 Python functions; in WORKBENCH_DATA",
)
RETRIEVAL_SUITES.add(
    "beir",
    "workbench.suites.beir:load",
    "a folder in BEIR's form (corpus.jsonl, queries.jsonl, qrels/), or a data set of the hub",
    needs="PATH or hf:NAME[@REVISION]",
)
RETRIEVAL_SUITES.add(
    "mined",
    "workbench.suites.mined:load",
    "queries mined from a crawled corpus: a docstring asks for its function",
    needs="CORPUS",
)


def load_suite(name: str) -> RetrievalSuite:
    """Return a retrieval suite: ``cosqa``, ``beir:PATH``, ``beir:hf:NAME``, ``mined:CORPUS``.

    The path of a folder in BEIR's form is enough by itself.

    Raises:
        UnknownName: no suite is called so.
        BadInput: its files are missing or malformed; one line says which, and where.
        MissingCorpus: there is no such corpus to mine.
        MissingExtra: a package that reads it is not installed.
    """
    kind, colon, argument = name.strip().partition(":")
    if kind not in RETRIEVAL_SUITES:
        if (Path(name).expanduser() / "corpus.jsonl").is_file():
            kind, colon, argument = "beir", ":", name
        else:
            raise UnknownName("suite", name, _forms(), "A folder in BEIR's form is one, too.")
    needed = RETRIEVAL_SUITES.entry(kind).needs
    if needed and not argument.strip():
        raise BadInput(f"The suite '{name}' lacks its {needed}.", f"Write {kind}:{needed}.")
    if colon and not needed:
        raise BadInput(f"The suite '{kind}' takes nothing behind a colon.", f"Write {kind}.")
    factory = RETRIEVAL_SUITES.load(kind)
    suite: RetrievalSuite = factory(argument.strip()) if needed else factory()
    return suite


def _forms() -> list[str]:
    return [f"{one.name}:{one.needs}" if one.needs else one.name for one in RETRIEVAL_SUITES]
