"""Tell the language of a document by its content, where its name does not, or is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from workbench.corpus.filters.rule import Filter
from workbench.types import Document

if TYPE_CHECKING:
    from magika import Magika

FILLED = "language filled in"
CORRECTED = "language corrected"

# magika's labels for the languages of the workbench; C is C++ here, as in its file endings.
_LABELS = {
    "c": "cpp",
    "cpp": "cpp",
    "cs": "csharp",
    "go": "go",
    "java": "java",
    "javascript": "javascript",
    "php": "php",
    "python": "python",
}
# A line that a file of one language has and hardly one of another. A file with such a line is what
# its ending says; asking the model takes 10 to 30 milliseconds.
_TELLTALES = {
    "cpp": r"#[ \t]*(include|define|ifn?def|pragma)\b|(template[ \t]*<|namespace \w+ ?\{)",
    "csharp": r"(using (static )?[\w.]+;|namespace [\w.]+)|[ \t]*get;|#region",
    "go": r"package \w+[ \t]*$",
    "java": r"(package|import)( static)? [\w.]+(\.\*)?;|[ \t]*@Override\b",
    "javascript": r"(const|let|var) [\w{\[]|['\"]use strict|(async )?function\b"
    r"|export |import .* from |module\.exports|\(function",
    "php": r"<\?php\b",
    "python": r"[ \t]*(def \w+\(.*|class \w+.*:$|elif .*:$|except\b.*:$)|import \w[\w.]*( as \w+)?$"
    r"|from [\w.]+ import ",
}
_TELLTALE = {
    name: re.compile(f"^(?:{pattern})", re.MULTILINE) for name, pattern in _TELLTALES.items()
}


@dataclass(kw_only=True)
class ByContent(Filter):
    """Asks magika, a small model that knows 200 kinds of files by their first and last kilobyte.

    It is asked about files whose name tells nothing (no ending, or one that is nobody's), and
    about those without a line that is typical of what their name says. It is heeded from
    ``sure`` (a probability) on, for texts of at least ``least`` characters: of one-liners it
    guesses.
    """

    sure: float = 0.9
    least: int = 200

    def check(self, document: Document) -> Document:
        """Return the document, its language filled in or corrected where that is sure."""
        if len(document.text) < self.least or not _is_in_doubt(document):
            return document
        found = _identify(document.text, self.sure)
        if found is None or found == document.language:
            return document
        self.noted[FILLED if document.language is None else CORRECTED] += 1
        return replace(document, language=found)


def _is_in_doubt(document: Document) -> bool:
    if document.language is not None:
        return _TELLTALE[document.language].search(document.text) is None
    from identify.identify import tags_from_filename

    return not tags_from_filename(document.path)


def _identify(text: str, sure: float) -> str | None:
    """Return the language of the workbench that a text is in, or None."""
    result = _magika().identify_bytes(text.encode())
    return _LABELS.get(str(result.output.label)) if result.score >= sure else None


@cache
def _magika() -> Magika:
    from magika import Magika

    return Magika()
