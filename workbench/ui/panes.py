"""How a comparison looks on the page: its panes, and what can be copied and saved from them."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from workbench.comparison import background_html, body_html, status_line
from workbench.languages import find_language

if TYPE_CHECKING:
    from workbench.comparison import Column, Comparison

_BUSY = ("waiting", "loading", "reading", "writing")


def answer_pane(column: Column) -> str:
    """Return a pane without its sources: what it does or its figures, answer, copy and save."""
    busy = " wb-busy" if column.status in _BUSY else ""
    return (
        f"<section class='wb wb-pane' data-status='{column.status}'>"
        f"<div class='wb-figures{busy}' role='status'>{html.escape(status_line(column))}</div>"
        f"{body_html(column)}{_answer_actions(column)}</section>"
    )


def background_pane(column: Column) -> str:
    """Return what stands behind the answer, to unfold; apart from it, so that it stays unfolded."""
    return f"<div class='wb'>{background_html(column)}</div>"


def empty_pane() -> str:
    """Return what stands in a pane before its first run."""
    return "<section class='wb wb-pane wb-empty'>The answer will stand here.</section>"


def saving_html(comparison: Comparison) -> str:
    """Return the buttons that save the whole comparison."""
    name = f"comparison-{comparison.run}"
    return (
        "<div class='wb wb-actions'>"
        + _carrier(comparison.to_markdown(), _save("Save all as Markdown", f"{name}.md"))
        + _carrier(comparison.to_json(), _save("Save all as JSON", f"{name}.json"))
        + f"<span class='wb-dim'>Stored as run {html.escape(str(comparison.run))}</span></div>"
    )


def file_name(column: Column) -> str:
    """Return a name to save the answer under, with its language's ending; prose is ``.md``."""
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", column.solver).strip("-.") or "answer"
    if column.answer is None:
        return f"{stem}.txt"
    known = find_language(column.answer.language) if column.answer.language else None
    return f"{stem}{known.endings[0] if known else '.md'}"


def _answer_actions(column: Column) -> str:
    if not column.finished or not column.best_text:
        return ""
    buttons = "<button type='button' data-wb-copy>Copy</button>"
    buttons += _save("Download", file_name(column))
    return f"<div class='wb-actions'>{_carrier(column.best_text, buttons)}</div>"


def _save(label: str, name: str) -> str:
    return f"<button type='button' data-wb-save='{html.escape(name)}'>{label}</button>"


def _carrier(text: str, buttons: str) -> str:
    """Put buttons beside the very text that they copy or save; ``page.js`` looks for it there."""
    return f"<span class='wb-carrier'>{buttons}<span hidden>{html.escape(text)}</span></span>"
