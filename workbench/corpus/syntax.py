"""Cut documents along their syntax: functions, classes, and what stands between them.

Every row of a document belongs to the innermost definition around it, and every run of rows that
belong to the same one is a span: so no line is lost or doubled, whatever the parser made of the
text. Spans that are too long are cut at statement borders, tiny neighbours are joined. A chunk
carries the signatures of the definitions that it stands in and that begin above it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tree_sitter import Node

from workbench.corpus.grammar import Definition, Outline, has_grammar, outline, signature
from workbench.corpus.windows import MAX_CHARACTERS, Limits, LineChunker, Lines
from workbench.types import Chunk, Document

VERSION = 2
MAX_LINES = 80
MAX_DEPTH = 30
"""Classes nested deeper than this are not cut further."""
GAP_LINES = 4
"""So few lines between two definitions go with one of them."""
TINY_LINES = 10
"""Members of a class of at most so many lines are joined, up to ``SMALL_CLASS_LINES``."""
SMALL_CLASS_LINES = 40
"""A class of so few lines stays whole."""
HEADER_LINES = 4
"""Signatures that a chunk carries at most: the innermost ones."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows ``start`` to ``end`` (excluded) that make one chunk.

    ``scope`` is the symbol of the class around them, None at the top of the file; it names what
    neighbours that are joined have in common.
    """

    start: int
    end: int
    symbol: str | None
    scope: str | None
    is_comment: bool

    @property
    def rows(self) -> int:
        """Count the rows."""
        return self.end - self.start

    @property
    def is_rest(self) -> bool:
        """Return True for what stands around definitions, and is none."""
        return self.symbol == self.scope


@dataclass(frozen=True, slots=True, eq=False)
class _Owner:
    """The definition that a row belongs to; ``divisible`` if what it nests owns its own rows."""

    start: int
    end_byte: float
    symbol: str | None
    scope: str | None
    divisible: bool


_FILE = _Owner(start=-1, end_byte=math.inf, symbol=None, scope=None, divisible=True)


@dataclass(frozen=True, slots=True)
class SyntaxChunker:
    """Cuts functions, methods, classes and module heads; falls back to windows of lines.

    ``characters`` and ``lines`` are the most that a chunk holds; a single longer line is kept.
    """

    characters: int = MAX_CHARACTERS
    lines: int = MAX_LINES

    @property
    def fingerprint(self) -> str:
        """Identify the chunker, its settings and its version."""
        return f"syntax|{self.characters}c|{self.lines}l|v{VERSION}"

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut a document into chunks that together hold each non-blank line once.

        Where no grammar knows the language, or its parser does not come to an end, the windows
        of ``LineChunker`` stand in, which overlap.
        """
        name = document.language
        parsed = outline(document.text, name) if has_grammar(name) else None
        if parsed is None:
            return LineChunker(characters=self.characters).chunk(document)
        limits = Limits(self.characters, self.lines)
        lines = Lines(document)
        spans = list(_spans(lines, parsed, _owners(lines, limits, parsed)))
        if not all(limits.hold(lines, span.start, span.end) for span in spans):
            depths = _borders(lines, limits, parsed.root)
            rows = sorted(depths)
            spans = [piece for span in spans for piece in _cut(lines, limits, depths, rows, span)]
        joined = list(_join(lines, limits, spans))
        headers = _headers(parsed.definitions, joined)
        return [
            lines.chunk(span.start, span.end, span.symbol, header)
            for span, header in zip(joined, headers, strict=True)
        ]


def _headers(definitions: Sequence[Definition], spans: Sequence[Span]) -> Iterator[str]:
    """Yield for each span the signatures of the definitions around it, outermost first."""
    around: list[Definition] = []
    coming = iter(definitions)
    following = next(coming, None)
    for span in spans:
        while following is not None and following.start < span.start:
            while around and around[-1].end <= following.start:
                around.pop()
            around.append(following)
            following = next(coming, None)
        while around and around[-1].end <= span.start:
            around.pop()
        yield "\n".join(signature(one) for one in around[-HEADER_LINES:])


def _owners(lines: Lines, limits: Limits, parsed: Outline) -> list[_Owner]:
    """Return for each row the innermost definition that it belongs to."""
    owners = [_FILE] * len(lines)
    stack = [_FILE]
    for definition in parsed.definitions:
        while definition.node.start_byte >= stack[-1].end_byte:
            stack.pop()
        parent = stack[-1]
        if not parent.divisible:
            continue
        start, end = max(definition.start, parent.start), min(definition.end, len(lines))
        # A row that two siblings share belongs to the first.
        while start < end and owners[start] is not parent:
            start += 1
        while start - 1 > parent.start and start - 1 in parsed.comment_rows:
            if owners[start - 1] is not parent:
                break
            start -= 1
        owner = _Owner(
            start=start,
            end_byte=definition.node.end_byte,
            symbol=f"{parent.symbol}.{definition.name}" if parent.symbol else definition.name,
            scope=parent.symbol,
            divisible=definition.is_class
            and len(stack) <= MAX_DEPTH
            and (end - start > SMALL_CLASS_LINES or not limits.hold(lines, start, end)),
        )
        owners[start:end] = [owner] * max(0, end - start)
        stack.append(owner)
    return owners


def _spans(lines: Lines, parsed: Outline, owners: Sequence[_Owner]) -> Iterator[Span]:
    """Yield the runs of rows with one owner, without blank rows at their ends."""
    rows = 0
    for owner, run in groupby(owners):
        first, rows = rows, rows + sum(1 for _ in run)
        start, end = lines.trim(first, rows)
        # What remains of a divided class is in the same scope as its methods.
        scope = owner.symbol if owner.divisible else owner.scope
        heading = end
        if owner.divisible and rows < len(lines):
            heading = _heading(lines, parsed, start, end)
        for begin, stop in (lines.trim(start, heading), (heading, end)):
            if begin < stop:
                is_comment = all(
                    row in parsed.comment_rows or lines.blank[row] for row in range(begin, stop)
                )
                yield Span(begin, stop, owner.symbol, scope, is_comment)


def _heading(lines: Lines, parsed: Outline, start: int, end: int) -> int:
    """Return where the comment begins that ends a range and heads what follows; or its end."""
    row = end
    while row > start and row - 1 in parsed.comment_rows:
        row -= 1
    return row if end - row <= GAP_LINES and (row == start or lines.blank[row - 1]) else end


def _cut(
    lines: Lines, limits: Limits, depths: dict[int, int], rows: list[int], span: Span
) -> Iterator[Span]:
    """Yield a span, in pieces that end at statement borders where it is too long."""
    start, end = span.start, span.end
    while start < end:
        stop = _stop(lines, limits, depths, rows, start, end)
        first, last = lines.trim(start, stop)
        if first < last:
            yield replace(span, start=first, end=last)
        start = stop


def _stop(
    lines: Lines, limits: Limits, depths: dict[int, int], rows: list[int], start: int, end: int
) -> int:
    """Return where the piece that begins at ``start`` best ends.

    That is the outermost border in the second half of what fits; among several, the one that
    leaves pieces of like size. Without any (in prose, or a table), a blank line does.
    """
    reach = start + 1
    while reach < end and limits.hold(lines, start, reach + 1):
        reach += 1
    if reach == end:
        return end
    size = lines.characters(start, end)
    ideal = size / max(math.ceil(size / limits.characters), math.ceil((end - start) / limits.lines))
    half = start + (reach - start) // 2
    choice = rows[bisect.bisect_right(rows, half) : bisect.bisect_right(rows, reach)]
    if choice:
        return min(choice, key=lambda row: (depths[row], abs(lines.characters(start, row) - ideal)))
    return min(
        range(half + 1, reach + 1),
        key=lambda row: (not lines.blank[row - 1], abs(lines.characters(start, row) - ideal)),
    )


def _borders(lines: Lines, limits: Limits, root: Node) -> dict[int, int]:
    """Map each row at which a statement starts to its depth; what fits whole is not entered."""
    depths: dict[int, int] = {}
    level, depth = [root], 0
    while level:
        deeper = []
        for node in level:
            comment_end = -1
            for child in node.named_children:
                first, last = child.start_point[0], child.end_point[0]
                # A comment stays with the statement that it stands above.
                if comment_end != first - 1:
                    depths.setdefault(first, depth)
                comment_end = last if "comment" in child.type else -1
                if not limits.hold(lines, first, min(last + 1, len(lines))):
                    deeper.append(child)
        level, depth = deeper, depth + 1
    return depths


def _join(lines: Lines, limits: Limits, spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the spans, tiny neighbours joined."""
    group: Span | None = None
    for span in spans:
        if group is None:
            group = span
        elif (joined := _joined(lines, limits, group, span)) is not None:
            group = joined
        else:
            yield group
            group = span
    if group is not None:
        yield group


def _joined(lines: Lines, limits: Limits, group: Span, span: Span) -> Span | None:
    """Return both as one span where they should not stand alone, or None.

    A few lines of comment go to the definition after them, a few lines of code to the one before
    them. The head of a class goes to its first member, and small members to each other; they
    bear its name then. Functions at the top of a file would lose their names to nothing, and
    stay alone.
    """
    if group.scope != span.scope or not limits.hold(lines, group.start, span.end):
        return None
    both = replace(group, end=span.end, is_comment=group.is_comment and span.is_comment)
    if group.is_comment and not span.is_rest and group.rows <= GAP_LINES:
        return replace(both, symbol=span.symbol)
    if not group.is_rest and span.is_rest and not span.is_comment and span.rows <= GAP_LINES:
        return both
    if group.scope is None:
        return None
    tiny = span.rows <= TINY_LINES and (group.is_rest or group.rows <= TINY_LINES)
    if (group.is_rest and group.rows <= GAP_LINES) or (tiny and both.rows <= SMALL_CLASS_LINES):
        return replace(both, symbol=group.scope)
    return None
