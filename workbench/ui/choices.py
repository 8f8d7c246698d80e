"""What the page offers to choose from: what is on this machine now."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from workbench.corpus import CHUNKERS, DEFAULT_CHUNKER, list_corpora, list_manifests, make_chunker
from workbench.languages import LANGUAGES
from workbench.retrieval import DEFAULT_EMBEDDER, RETRIEVERS, list_indexes
from workbench.spec import DEFAULT_BACKEND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.doctor import MenuRow
    from workbench.retrieval import IndexInfo
    from workbench.store import RunRow
    from workbench.ui.live import Live

    Choices = list[tuple[str, str]]

NO_CORPUS = ""


def languages() -> Choices:
    """Return the workbench's languages by title."""
    return [(one.title, one.name) for one in LANGUAGES]


def backends(rows: Sequence[MenuRow]) -> Choices:
    """Return the backends that can be named as they stand, those that work here first."""
    return _by_presence(rows, "backend")


def embedders(rows: Sequence[MenuRow]) -> Choices:
    """Return the embedders, those that work here first."""
    return _by_presence(rows, "embedder")


def _by_presence(rows: Sequence[MenuRow], kind: str) -> Choices:
    named = [row for row in rows if row.kind == kind and not row.form]
    here = [(row.name, row.name) for row in named if row.here]
    return here + [(f"{row.name} (not here yet)", row.name) for row in named if not row.here]


def retrievers() -> Choices:
    """Return the retrievers, and first, as "", the one that measured best for the embedder."""
    return [("automatic", ""), *((name, name) for name in RETRIEVERS)]


def indexes() -> Choices:
    """Return the indexes that can be searched, and none; see ``split_index`` for the values."""
    found = [(one, chunker) for one in list_indexes() if (chunker := chunker_of(one))]
    corpora = [one.corpus for one, _ in found]
    choices = [("No corpus", NO_CORPUS)]
    for one, chunker in found:
        several = corpora.count(one.corpus) > 1
        label = f"{one.corpus}, {one.embedder}, {chunker}" if several else one.corpus
        choices.append((label, f"{one.corpus}|{chunker}|{one.embedder}"))
    return choices


def first_index(indexes: Choices, chosen: str | None = None) -> str:
    """Return what to retrieve from at first: what was chosen, or else the defaults' index."""
    values = [value for _, value in indexes]
    usual = [one for one in values if one.endswith(f"|{DEFAULT_CHUNKER}|{DEFAULT_EMBEDDER}")]
    return chosen if chosen and chosen in values else (usual or values[-1:])[0]


def chunker_of(info: IndexInfo) -> str | None:
    """Return the chunker that an index was cut with, None where it is no longer the same."""
    names = [entry.name for entry in CHUNKERS]
    return next((one for one in names if make_chunker(one).fingerprint == info.chunker), None)


def split_index(value: str | None) -> tuple[str, str, str] | None:
    """Return corpus, chunker and embedder of a value of ``indexes``, None for no corpus."""
    if not value:
        return None
    corpus, chunker, embedder = value.split("|", 2)
    return corpus, chunker, embedder


def first_panes(rows: Sequence[MenuRow], *, corpus: bool) -> list[str]:
    """Return the two backends to begin with: a model, and the best hit or another model."""
    here = [name for _, name in backends([row for row in rows if row.here])]
    models = [name for name in here if name != "retrieval"]
    first = DEFAULT_BACKEND if DEFAULT_BACKEND in models or not models else models[0]
    others = [name for name in models if name != first]
    return [first, "retrieval" if corpus or not others else others[0]]


def missing_html(rows: Sequence[MenuRow]) -> str:
    """Return what is still to be done before the page is of use, "" where all is ready."""
    lines = []
    here = [row.name for row in rows if row.kind == "backend" and row.here and not row.form]
    if not any("/" in name for name in here):
        lines.append(
            "No model is here yet. Run:"
            f" <code>workbench models pull {DEFAULT_BACKEND.partition('/')[2]}</code>"
        )
    if not list_indexes():
        what = "indexed" if list_corpora() else "crawled and indexed"
        lines.append(
            f"No corpus is {what} yet, so nothing can be retrieved. Do it under <b>Corpora</b>, or"
            " run: <code>workbench crawl python-stdlib</code>, then"
            " <code>workbench index python-stdlib</code>"
        )
    return notice_html(lines, "wb-missing")


def manifests() -> list[str]:
    """Return the names that can be crawled without naming a source."""
    return [one.name for one in list_manifests()]


def run_label(row: RunRow) -> str:
    """Return how a stored evaluation is called in a menu."""
    suite, arms = row.spec["suite"], row.spec["arms"]
    solvers = "1 solver" if len(arms) == 1 else f"{len(arms):,} solvers"
    day = row.created[:16].replace("T", " ")
    return f"{suite['name']}, {suite['questions']:,} problems, {solvers}, {day} ({row.id})"


def notice_html(lines: Sequence[str], kind: str) -> str:
    """Return lines of HTML as a notice, "" for none."""
    if not lines:
        return ""
    body = "".join(f"<p>{line}</p>" for line in lines)
    return f"<div class='wb wb-notice {kind}' role='alert'>{body}</div>"


def progress_html(live: Live[Any], said: str = "Loading", more: str = "") -> str:
    """Return how far work is: a bar with rate and estimate, or ``said`` while there is none.

    ``more`` stands behind the bar's words.
    """
    now = live.progress
    if now is None:
        return notice_html([html.escape(said)], "wb-busy-line")
    share = f"<progress max='{now.total:g}' value='{now.done:g}'></progress>"
    text = "; ".join(filter(None, (str(now), more)))
    return notice_html([f"{share} {html.escape(text)}"], "wb-busy-line")


def problem_html(error: Exception | str) -> str:
    """Return an error as one line."""
    return notice_html([html.escape(" ".join(str(error).split()))], "wb-problem")
