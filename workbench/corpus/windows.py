"""Lines of a document, and the chunker that cuts windows of them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.types import Chunk, Document

# Not str.splitlines, which also splits at form feeds and five more: no editor, compiler or
# tree-sitter counts those as lines.
_LINE_END = re.compile(r"\r?\n")


class Lines:
    """The lines of a document, without their ends, and what a run of them measures.

    Rows count from 0; ranges are half open, as Python's.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.texts = _LINE_END.split(document.text)
        self.blank = [not text.strip() for text in self.texts]
        self._ends = [0, *itertools.accumulate(len(text) + 1 for text in self.texts)]

    def __len__(self) -> int:
        return len(self.texts)

    def characters(self, start: int, end: int) -> int:
        """Count the characters of rows ``start`` to ``end``, line ends included."""
        return self._ends[end] - self._ends[start]

    def trim(self, start: int, end: int) -> tuple[int, int]:
        """Return the range without blank rows at its start and end; empty where all are."""
        while start < end and self.blank[end - 1]:
            end -= 1
        while start < end and self.blank[start]:
            start += 1
        return start, end

    def chunk(self, start: int, end: int, symbol: str | None = None, header: str = "") -> Chunk:
        """Return rows ``start`` to ``end`` as a chunk; its id is made of all that it says."""
        text = "\n".join(self.texts[start:end])
        document = self.document
        says = (document.source, document.path, str(start + 1), str(end), text, header)
        key = "\0".join(says if header else says[:-1])
        return Chunk(
            id=hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32],
            text=text,
            path=document.path,
            start_line=start + 1,
            end_line=end,
            language=document.language,
            symbol=symbol,
            source=document.source,
            license=document.license,
            header=header,
        )


MAX_CHARACTERS = 2000
"""About 512 tokens of code in a BERT vocabulary: the most that the default embedders read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest chunk. A single line is never cut, however long."""

    characters: int
    lines: int

    def __post_init__(self) -> None:
        if self.characters < 1 or self.lines < 1:
            raise ValueError("a chunk must hold at least one character and one line")

    def hold(self, lines: Lines, start: int, end: int) -> bool:
        """Return True where rows ``start`` to ``end`` make one chunk."""
        return end - start <= 1 or (
            end - start <= self.lines and lines.characters(start, end) <= self.characters
        )


def windows(
    lines: Lines, start: int, end: int, limits: Limits, overlap: int = 0
) -> Iterator[tuple[int, int]]:
    """Yield windows as large as ``limits`` hold, that cover every non-blank row of a range.

    Two windows share ``overlap`` rows, but never more than a quarter of the first.
    """
    start, end = lines.trim(start, end)
    while start < end:
        stop = start + 1
        while stop < end and limits.hold(lines, start, stop + 1):
            stop += 1
        yield lines.trim(start, stop)
        if stop == end:
            return
        start, _ = lines.trim(stop - min(overlap, (stop - start) // 4), end)


@dataclass(frozen=True, slots=True)
class LineChunker:
    """Cuts windows of lines, whatever the language.

    ``overlap`` is the number of lines that two windows share, so that what stands at the border
    of one stands whole in the other.
    """

    characters: int = MAX_CHARACTERS
    lines: int = 60
    overlap: int = 10

    @property
    def fingerprint(self) -> str:
        """Identify the chunker, its settings and its version."""
        return f"lines|{self.characters}c|{self.lines}l|{self.overlap}o|v1"

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut a document into windows, in line order."""
        lines = Lines(document)
        limits = Limits(self.characters, self.lines)
        spans = windows(lines, 0, len(lines), limits, self.overlap)
        return [lines.chunk(start, end) for start, end in spans]
