"""Leave out minified code, and what is text only by its encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from workbench.corpus.entries import Skip
from workbench.corpus.filters.rule import Filter
from workbench.types import Document

MINIFIED = "minified"
"""Lines too long for anybody to have written them."""
NOT_TEXT = "not text"
"""Mostly signs and no words: encoded data, drawings, noise."""

# A paragraph of prose may stand on one line.
_PROSE = frozenset({".md", ".rst", ".txt", ".adoc", ".tex", ""})
_IS_WORD = np.array([chr(byte).isalnum() or byte >= 128 for byte in range(256)])
_IS_SPACE = np.array([chr(byte).isspace() for byte in range(128)] + [False] * 128)


@dataclass(kw_only=True)
class Size(Filter):
    """Judges by lengths of lines and by the share of letters and digits.

    ``longest`` line and ``mean`` length of lines are in characters; both limits are those by
    which Codex's training files were chosen (Chen et al. 2021, section 3.1). ``words`` is the
    least share of letters and digits among all but white space; Codex and The Stack look at
    similar shares, 0.25 of all characters.
    """

    longest: int = 1000
    mean: int = 100
    words: float = 0.25

    def check(self, document: Document) -> Document:
        """Return the document, or skip it as "minified" or "not text"."""
        text = document.text
        if PurePosixPath(document.path).suffix.lower() not in _PROSE:
            lines = text.splitlines() or [text]
            if len(text) > self.mean * len(lines) or max(map(len, lines)) > self.longest:
                raise Skip(MINIFIED)
        data = np.frombuffer(text.encode(), np.uint8)
        ink = data.size - np.count_nonzero(_IS_SPACE[data])
        if np.count_nonzero(_IS_WORD[data]) < self.words * ink:
            raise Skip(NOT_TEXT)
        return document
