"""What a retrieval suite is made of: documents to search in, and queries with their right answers.

A right answer is a *unit*: rows of a document. So one suite measures any chunker: a chunk is a
right hit where it overlaps the unit that a query is after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.types import Document


@dataclass(frozen=True, slots=True)
class Unit:
    """What a query may be after: rows ``start_line`` to ``end_line`` of a document.

    Lines count from 1 and are both included; ``end_line`` None is the document's last.
    ``path`` is that of the document, which is unique within a suite.
    """

    id: str
    path: str
    start_line: int = 1
    end_line: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its right answers: ids of units, each with its gain (1: right)."""

    id: str
    text: str
    relevant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RetrievalSuite:
    """Documents, the units in them, and the queries of each split.

    ``default_split`` is the one to report; others are for choosing. ``digest`` is the SHA-256 of
    all of it, in hex. ``note`` says in a sentence where it comes from and what to beware of.
    """

    name: str
    documents: tuple[Document, ...] = field(repr=False)
    units: tuple[Unit, ...] = field(repr=False)
    queries: Mapping[str, tuple[Query, ...]] = field(repr=False)
    default_split: str
    license: str | None
    note: str
    digest: str
