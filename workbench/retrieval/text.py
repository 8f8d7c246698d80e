"""What text of a chunk is indexed, how a query is cut, and the words that BM25 counts.

All three decide what is found, so ``TEXT_VERSION`` stands in every index's key: change it when
one of them changes.
"""

from __future__ import annotations

import re

from workbench.errors import BadInput
from workbench.types import Chunk

TEXT_VERSION = "path-symbol-header-text/1"

# No embedder here reads more than 512 tokens, which is about 2,000 characters of code; BM25 over
# more than twice that is slow (a megabyte takes seconds) and ranks by the file's commonest words.
MAX_QUERY_CHARACTERS = 4_000

_IDENTIFIER = re.compile(r"\w+")
# HTTPServer2 -> HTTP, Server, 2. The last branch keeps letters outside ASCII together.
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")
# Words of questions, and the four of Python that stand in nearly every function. Measured on
# CoSQA's dev queries: MRR@10 .319 without, .325 with; keeping whole identifiers beside their
# parts changed dev by .000 and test by -.010, so they are left out.
_STOP = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "cls", "def", "for", "from", "how", "i"}
    | {"in", "is", "it", "of", "on", "or", "return", "self", "that", "the", "this", "to", "with"}
)


def indexed_text(chunk: Chunk) -> str:
    """Return what is embedded and counted for a chunk: path and symbol, header, then its lines.

    The first line tells two methods called ``push`` apart, which their own lines may not; the
    header says what the rest of a function that was cut belongs to.
    """
    place = " ".join(part for part in (chunk.path, chunk.symbol) if part)
    return encodable("\n".join([*filter(None, (place, chunk.header)), chunk.text]))


def cut_query(query: str) -> str:
    """Return the start of a query that is worth searching with, ending at the end of a word.

    Raises:
        BadInput: there is nothing but white space.
    """
    start = query.lstrip()[: MAX_QUERY_CHARACTERS + 1]
    if not start:
        raise BadInput("The query is empty.", "Say what to search for.")
    if len(start) > MAX_QUERY_CHARACTERS:
        border = max(start.rfind(space) for space in " \n\t")
        start = start[: border if border > 0 else MAX_QUERY_CHARACTERS]
    return encodable(start)


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced: tokenizers and SQLite refuse them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def code_words(text: str) -> list[str]:
    """Split code or prose to lower-case words: identifiers at camelCase, snake_case and digits."""
    return [word for name in identifiers(text) for word in words_of(name)]


def identifiers(text: str) -> list[str]:
    """Return the runs of letters, digits and underscores, in their order."""
    return _IDENTIFIER.findall(text)


def words_of(identifier: str) -> list[str]:
    """Split one identifier to its lower-case words, without those that say nothing."""
    words = (part.lower() for part in _PART.findall(identifier))
    return [word for word in words if word not in _STOP]
