"""Find fenced code in what a model wrote, which is Markdown more or less.

CommonMark 4.5 is the ground: backticks or tildes, three or more; a longer fence holds shorter
ones; a block that nobody closes runs to the end. On top come the slips that models make: a fence
opened behind text on the same line or glued to the last line of code, a new block begun before
the last one was closed, a block wrapped in another of the same length. One pass, line by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.languages import find_language

_FENCE = re.compile(
    r"^(?P<before>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)"
    r"(?:(?P<ticks>`{3,})(?P<info>[^`]*)|(?P<tildes>~{3,})(?P<words>.*))$"
)
_BEHIND_TEXT = re.compile(r"(?P<ticks>`{3,})[ \t]*(?P<info>[\w+#]+)$")
_TAG = re.compile(r"[\w+#.-]+")


@dataclass(frozen=True, slots=True)
class Block:
    """The text of one fenced block, byte for byte, without the line break before its end.

    ``tag`` is the first word behind the fence in lower case, or empty.
    """

    text: str
    tag: str
    closed: bool


@dataclass(frozen=True, slots=True)
class _Fence:
    mark: str
    length: int
    indent: int
    tag: str
    bare: bool
    carriage: bool
    before: str = ""


def split_fences(text: str) -> tuple[list[Block], list[str]]:
    """Return the fenced blocks of ``text``, and the stretches of text around them, in order.

    There is one stretch more than there are blocks; it may be empty.
    """
    blocks: list[Block] = []
    around: list[str] = []
    opening: _Fence | None = None
    kept: list[str] = []
    for line in text.split("\n"):
        fence = _fence(line)
        if fence is None or (opening is not None and not _ends(opening, fence, kept)):
            kept.append(line)
            continue
        if opening is None:
            around.append("\n".join([*kept, fence.before]))
        elif fence.bare or any(held.strip() for held in kept):
            blocks.append(_block(opening, kept, closed=True))
            if not fence.bare:
                around.append("")
        opening = None if opening is not None and fence.bare else fence
        kept = []
    if opening is None:
        around.append("\n".join(kept))
    else:
        blocks.append(_unclosed(opening, kept))
        around.append("")
    return blocks, around


def _fence(line: str) -> _Fence | None:
    """Read a line as a fence; one behind text must have the tag of a language."""
    if "```" not in line and "~~~" not in line:
        return None
    carriage = line.endswith("\r")
    match = _FENCE.match(line.rstrip())
    if match:
        run = match["ticks"] or match["tildes"]
        info = match["info"] if match["ticks"] else match["words"]
        word = _TAG.search(info.strip())
        tag = word.group().lstrip(".").lower() if word else ""
        indent = len(match["before"].expandtabs(4))
        return _Fence(run[0], len(run), indent, tag, not info.strip(), carriage)
    before, _, _ = line.partition("`")
    match = _BEHIND_TEXT.match(line.rstrip(), len(before))
    if match and find_language(match["info"]):
        tag = match["info"].lower()
        return _Fence("`", len(match["ticks"]), 0, tag, False, carriage, before)
    return None


def _ends(opening: _Fence, fence: _Fence, kept: Sequence[str]) -> bool:
    """Say whether ``fence`` ends the open block: by closing it, or by beginning another."""
    if fence.before or fence.indent > opening.indent + 3:
        return False
    if not fence.bare and find_language(fence.tag) is None:
        return False
    if not fence.bare and _wraps(opening, kept):
        return True
    return fence.mark == opening.mark and fence.length >= opening.length


def _wraps(opening: _Fence, kept: Sequence[str]) -> bool:
    """Say whether the open block can only be paper around another one."""
    if opening.tag:
        return opening.tag in ("markdown", "md")
    return not any(line.strip() for line in kept)


def _block(opening: _Fence, lines: Sequence[str], *, closed: bool) -> Block:
    margin = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()), default=0)
    width = min(margin, opening.indent)
    text = "\n".join(_dedent(line, width) for line in lines)
    return Block(text.removesuffix("\r") if opening.carriage else text, opening.tag, closed)


def _unclosed(opening: _Fence, lines: Sequence[str]) -> Block:
    """Take the rest, up to the first line that has the closing fence glued to its end."""
    fence = opening.mark * opening.length
    for number, line in enumerate(lines):
        bare = line.rstrip()
        if bare.endswith(fence):
            last = bare.rstrip(opening.mark)
            return _block(
                opening, [*lines[:number], *([last] if last.strip() else [])], closed=True
            )
    return _block(opening, lines, closed=False)


def _dedent(line: str, width: int) -> str:
    """Take away the indentation that a block in a list has; a blank line may have less."""
    return line[width:] if line[:width].isspace() else line
