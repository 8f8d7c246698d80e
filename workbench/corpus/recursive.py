"""Cut documents as LangChain does: at the separators of their language, the coarsest first."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from importlib.metadata import version

from workbench.corpus.windows import MAX_CHARACTERS, Lines
from workbench.langchain import split_code
from workbench.types import Chunk, Document


@dataclass(frozen=True, slots=True)
class RecursiveChunker:
    """LangChain's ``RecursiveCharacterTextSplitter.from_language``: the usual way to compare with.

    Its pieces may begin and end within a line; a chunk holds the whole lines that a piece
    touches, so that it maps back, and two chunks may share a line. Pieces within the same lines
    are one chunk. ``overlap`` counts characters. Without a language it splits at blank lines,
    lines and words.
    """

    characters: int = MAX_CHARACTERS
    overlap: int = 200

    @property
    def fingerprint(self) -> str:
        """Identify the chunker, its settings and the version of the splitter."""
        splitter = version("langchain-text-splitters")
        return (
            f"recursive|{self.characters}c|{self.overlap}o|langchain-text-splitters {splitter}|v1"
        )

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut a document into chunks, in line order.

        Raises:
            MissingExtra: LangChain's splitters are not installed.
        """
        lines = Lines(document)
        pieces = split_code(document.text, document.language, self.characters, self.overlap)
        borders = _line_starts(document.text)
        rows = [
            lines.trim(bisect.bisect_right(borders, start) - 1, bisect.bisect_left(borders, end))
            for start, end in pieces
        ]
        return [lines.chunk(start, end) for start, end in sorted(set(rows)) if start < end]


def _line_starts(text: str) -> list[int]:
    """Return the offset of each line's first character; lines end as ``Lines`` has it."""
    return [0, *(at + 1 for at, character in enumerate(text) if character == "\n")]
