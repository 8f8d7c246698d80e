"""What a retrieval suite is made of: documents to search in, and queries with their right answers.

A right answer is a *unit*: rows of a document. So one suite measures any chunker: a chunk is a
right hit where it overlaps the unit that a query is after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from workbench.types import Document


@dataclass(frozen=True, slots=True)
class Unit:
    """What a query may be after: rows ``start_line`` to ``end_line`` of a document.

    Lines count from 1 and are both included; ``end_line`` None is the document's last.
    ``path`` is that of the document, which is unique within a suite. Two units of one ``id`` are
    copies of one thing at two places: either is as right as the other, and both count once.
    """

    id: str
    path: str
    start_line: int = 1
    end_line: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its right answers: ids of units, each with its gain (1: right).

    With ``one_suffices`` the right answers are equally good and count as one: whoever finds one
    of them has found all there is to find.
    """

    id: str
    text: str
    relevant: Mapping[str, int]
    one_suffices: bool = False


@dataclass(frozen=True, slots=True)
class RetrievalSuite:
    """Documents, the units in them, and the queries of each split.

    ``default_split`` is the one to report; others are for choosing. ``digest`` is the SHA-256 of
    all of it, in hex. ``note`` says in a sentence where it comes from and what to beware of.
    ``paths_are_ids`` marks paths that nobody would search for, such as running numbers: they are
    kept out of what is indexed.
    """

    name: str
    documents: tuple[Document, ...] = field(repr=False)
    units: tuple[Unit, ...] = field(repr=False)
    queries: Mapping[str, tuple[Query, ...]] = field(repr=False)
    default_split: str
    license: str | None
    note: str
    digest: str
    paths_are_ids: bool = False

    @property
    def is_whole(self) -> bool:
        """Say whether every unit is a whole document, so that nothing needs to be cut."""
        return all(unit.start_line == 1 and unit.end_line is None for unit in self.units)


def suite_digest(
    documents: Iterable[Document], units: Iterable[Unit], queries: Mapping[str, Iterable[Query]]
) -> str:
    """Return the SHA-256 of all that a suite asks and searches in, in hex."""
    digest = hashlib.sha256()

    def add(*fields: object) -> None:
        digest.update(json.dumps(fields, sort_keys=True).encode() + b"\n")

    for document in documents:
        add("document", asdict(document))
    for unit in units:
        add("unit", asdict(unit))
    for split in sorted(queries):
        for query in queries[split]:
            add("query", split, asdict(query))
    return digest.hexdigest()
