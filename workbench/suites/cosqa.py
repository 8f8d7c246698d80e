"""CoSQA: web queries for Python functions (Huang et al., ACL 2021)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.corpus.entries import make_document
from workbench.errors import BadInput
from workbench.settings import settings
from workbench.suites.records import Query, RetrievalSuite, Unit, suite_digest

_POOL = "code_idx_map.txt"
_QUERIES = "cosqa-retrieval-{split}-500.json"
_SPLITS = ("dev", "test")


def load() -> RetrievalSuite:
    """Read CoSQA's pool of functions and its dev and test queries.

    Raises:
        BadInput: WORKBENCH_DATA is not set, or its folder ``cosqa`` lacks a file or has a bad one.
    """
    folder = _folder()
    pool: dict[str, int] = _read(folder / _POOL)
    try:
        numbered = sorted((int(number), code) for code, number in pool.items())
        # The pool has no paths, only numbers.
        documents = tuple(
            make_document(f"{number}.py", code, source="cosqa", revision=None, license="MIT")
            for number, code in numbered
        )
        units = tuple(Unit(document.path, document.path) for document in documents)
        known = {unit.id for unit in units}
        queries = {
            split: _queries(folder / _QUERIES.format(split=split), known) for split in _SPLITS
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"The files in {folder} are not CoSQA's: {type(error).__name__} {error}.", _MEND
        ) from error
    return RetrievalSuite(
        name="cosqa",
        documents=documents,
        units=units,
        queries=queries,
        default_split="test",
        license="MIT",
        note=(
            "CoSQA (Huang et al., ACL 2021): queries typed into a web search engine, each with one"
            " function judged right; others in the pool may answer it as well and count as wrong."
        ),
        digest=suite_digest(documents, units, queries),
        paths_are_ids=True,
    )


_MEND = (
    f"Put {_POOL} and {_QUERIES.format(split='dev')}, {_QUERIES.format(split='test')}"
    " into its folder cosqa."
)


def _folder() -> Path:
    data = settings().data
    if data is None:
        raise BadInput(
            "CoSQA is not here: WORKBENCH_DATA is not set.", f"Set it to a folder of data. {_MEND}"
        )
    return data.expanduser() / "cosqa"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"CoSQA is not here: WORKBENCH_DATA has no cosqa/{path.name}.", _MEND
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {error}.", _MEND) from error


def _queries(path: Path, known: set[str]) -> tuple[Query, ...]:
    queries = []
    for row in _read(path):
        right = f"{int(row['retrieval_idx'])}.py"
        if right not in known:
            raise ValueError(f"{row['idx']} asks for function {right} of none")
        queries.append(Query(str(row["idx"]), str(row["doc"]), {right: 1}))
    return tuple(queries)
