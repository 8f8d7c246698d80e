"""What each arm found for one query, and how that looks: an arm a column, right hits marked."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.lab.records import Arm
from workbench.report import code_html, style

if TYPE_CHECKING:
    from workbench.types import Hit

_TITLE = 60
"""Characters of the first line, which stands for a chunk that has no name."""
_WORDS = 8
"""Words that are shown of those that misled an arm."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one arm returned for one query: its first hits, and where the right units ranked.

    ``right`` marks the hits that overlap a right unit. ``rank`` is that of the first right hit
    among ``depth`` searched, None where it is not among them. ``words`` are the contributions of
    the query's words to the scores of the first wrong hit above the right one, and to those of the
    right one: (word, wrong, right), largest difference first. For bm25 they are BM25's own
    summands; for dense they are how much each cosine falls when the word is left out.
    """

    arm: Arm
    hits: tuple[Hit, ...]
    right: tuple[bool, ...]
    rank: int | None
    depth: int
    words: tuple[tuple[str, float, float], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """One query under every arm. ``answers`` are the right units' texts, by id of the unit.

    ``query_id`` is None and ``answers`` empty for a free text, whose right answer nobody knows.
    """

    query_id: str | None
    query: str
    answers: Mapping[str, str]
    found: tuple[Found, ...]

    def _repr_html_(self) -> str:
        return _html(self)


def _html(inspection: Inspection) -> str:
    """Return what each arm found for the query, and what misled it. Has its own style."""
    columns = "".join(_column(found) for found in inspection.found)
    answers = "".join(
        f"<details><summary>{html.escape(unit)}</summary>{code_html(text, 'python')}</details>"
        for unit, text in inspection.answers.items()
    )
    wanted = (
        f"<div class='wb-body'><b>What was asked for</b>{answers}</div>"
        if answers
        else "<div class='wb-dim'>A query of your own: nobody says what is right.</div>"
    )
    return (
        f"{style()}<div class='wb'><h4>{html.escape(inspection.query)}</h4>{wanted}"
        f"<div class='wb-columns'>{columns}</div></div>"
    )


def _column(found: Found) -> str:
    name = html.escape(found.arm.name)
    if found.error is not None:
        body = f"<div class='wb-error'>{html.escape(found.error)}</div>"
        return f"<div class='wb-column'><div class='wb-head'>{name}</div>{body}</div>"
    if not any(found.right) and found.rank is None:
        where = f"not among the first {found.depth:,}"
    else:
        where = f"right at rank {found.rank}"
    hits = "".join(_hit(hit, right) for hit, right in zip(found.hits, found.right, strict=True))
    return (
        f"<div class='wb-column'><div class='wb-head'>{name}"
        f"<span class='wb-figures'>{where}</span></div>"
        f"<div class='wb-body'>{hits or 'Nothing found.'}</div>{_words(found)}</div>"
    )


def _hit(hit: Hit, right: bool) -> str:
    chunk = hit.chunk
    mark = "<span class='wb-right' title='right'>✓</span> " if right else ""
    named = chunk.symbol or chunk.text.lstrip().partition("\n")[0][:_TITLE]
    return (
        f"<details><summary>{mark}{hit.rank}. <b>{html.escape(named)}</b>"
        f" <span class='wb-dim'>{html.escape(chunk.location)}, {hit.score:.3f}</span></summary>"
        f"{code_html(chunk.text, chunk.language)}</details>"
    )


def _words(found: Found) -> str:
    """Return the words that pulled the first wrong hit above the right one."""
    if not found.words:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(word)}</td><td>{wrong:+.2f}</td><td>{right:+.2f}</td></tr>"
        for word, wrong, right in found.words[:_WORDS]
    )
    return (
        "<details open><summary>What misled it</summary><div class='wb-table'><table><thead><tr>"
        "<th>word</th><th>first wrong hit</th><th>right one</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )
