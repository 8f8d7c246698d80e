"""Take the answer out of what a model wrote around it.

Rules for code, in this order; the name is what ``Extraction.rule`` says:

``fence``
    A fenced block tagged with the wanted language; else one without a tag; else one tagged with
    another language, which the extraction then names. Of several, the first that defines a
    function or class (what follows is mostly its use), unless a later one defines all of that
    and more (steps, then the whole); else the longest. Blocks are never joined: nobody wrote
    that program.
``fence-unclosed``
    The same, where the block chosen was cut off: all that is there of it.
``raw``
    No fence, and the whole text is a program.
``prose-around``
    No fence: the run of lines that is code, chosen as among fences.
``inline``
    Nothing but a piece of code in backticks within a sentence: the longest.
``nothing``
    None of these; the text is empty. An answer is never made up.

A block comes out byte for byte. Control tokens of chat templates at the end of a line end the
text, for what follows them is another turn; a leading ``<think>`` part is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.languages import find_language
from workbench.tasks.fences import Block, split_fences
from workbench.tasks.prose import code_runs, is_prose
from workbench.tasks.syntax import Shape, shape
from workbench.types import Extraction

CODE_RULES = frozenset({"fence", "fence-unclosed", "raw", "prose-around", "inline", "nothing"})
PROSE_RULES = frozenset({"prose", "prose-without-code", "fence", "nothing"})

_THOUGHT = re.compile(r"\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_TOKEN = r"(?:<\|[\w/-]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|<(?:start|end)_of_turn>)"  # noqa: RUF001
_LEADING = re.compile(rf"(?:\s*(?:{_TOKEN}(?:assistant|model)?|<s>))+[ \t]*\n?")
_TURN_ENDS = re.compile(rf"{_TOKEN}(?=\s*(?:\n|\Z)|{_TOKEN}).*", re.DOTALL)
_TEXT_ENDS = re.compile(r"</s>\s*\Z")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]+)\1(?!`)")
_MARKED = re.compile(r"[^\w\s.,'-]")

# A program is rarely in more pieces, and each is parsed.
_MOST_CANDIDATES = 100

_PLAIN_TAGS = frozenset({"", "text", "txt", "plaintext", "plain", "code", "markdown", "md"})
_DATA_WORDS = (
    "bash sh shell zsh console terminal cmd powershell output stdout json yaml yml xml toml ini"
    " diff csv log makefile cmake dockerfile"
)
_DATA_TAGS = frozenset(_DATA_WORDS.split())


def extract_code(raw: str, language: str) -> Extraction:
    """Take code in ``language`` (a name of ``workbench.languages``) out of a completion.

    Never raises, whatever the text; time grows in proportion to its length.
    """
    text = without_leftovers(raw)
    blocks, around = split_fences(text)
    outside = "\n\n".join(part for part in around if part.strip())
    block = _choose_block(blocks, language)
    runs = [] if block and block[1].definitions else _raw_code(outside, language)
    if block and not (runs and _foreign(block[0]) and runs[0][1].definitions):
        chosen = block[0]
        known = find_language(chosen.tag)
        rule = "fence" if chosen.closed else "fence-unclosed"
        return Extraction(chosen.text, known.name if known else language, rule)
    if runs:
        found = _choose(runs)[0]
        return Extraction(found, language, "raw" if found == text.strip("\r\n") else "prose-around")
    inline = _inline(outside, language)
    return Extraction(inline, language, "inline" if inline else "nothing")


def extract_prose(raw: str) -> Extraction:
    """Take prose out of a completion. Rules: ``prose``, ``prose-without-code`` where fenced code
    was dropped, ``fence`` where all the text stood in one, and ``nothing``.
    """
    blocks, around = split_fences(without_leftovers(raw))
    outside = "\n\n".join(part.strip() for part in around if part.strip())
    filled = [block for block in blocks if block.text.strip()]
    lead = "\n" not in outside and outside.endswith(":")
    quoted = [block.text for block in filled if block.tag in _PLAIN_TAGS or not outside]
    if quoted and (lead or not outside):
        return Extraction("\n\n".join(text.strip() for text in quoted), None, "fence")
    if not outside:
        return Extraction("", None, "nothing")
    return Extraction(outside, None, "prose-without-code" if filled else "prose")


def without_leftovers(raw: str) -> str:
    """Drop a leading thought, and the control tokens of a chat template with what they begin."""
    text = raw
    for opening in (_LEADING, _THOUGHT):
        if match := opening.match(text):
            text = text[match.end() :]
    return _TEXT_ENDS.sub("", _TURN_ENDS.sub("", text))


def _choose_block(blocks: Sequence[Block], language: str) -> tuple[Block, Shape] | None:
    """Return the block that most likely is the answer, or None where all are empty or prose."""
    groups: list[list[Block]] = [[], [], [], []]
    for block in blocks:
        if block.text.strip():
            groups[_group(block, language)].append(block)
    for group in groups:
        read = [(block, shape(block.text, _spoken(block, language))) for block in group]
        read = [pair for pair in read if not _is_stray(*pair, language)]
        if read:
            text = _choose([(block.text, seen) for block, seen in read])[0]
            return next(pair for pair in read if pair[0].text == text)
    return None


def _is_stray(block: Block, seen: Shape, language: str) -> bool:
    """Say whether bare backticks that nobody closes are the end of code that nobody opened."""
    if block.closed or block.tag:
        return False
    return not seen.code or is_prose(block.text.strip().partition("\n")[0], language)


def _group(block: Block, language: str) -> int:
    known = find_language(block.tag)
    if known is not None and known.name == language:
        return 0
    if block.tag in _PLAIN_TAGS:
        return 1
    return 3 if block.tag in _DATA_TAGS else 2


def _spoken(block: Block, language: str) -> str:
    known = find_language(block.tag)
    return known.name if known else language


def _foreign(block: Block) -> bool:
    """Say whether a block may as well be a program's output as a program."""
    return block.tag in _PLAIN_TAGS or block.tag in _DATA_TAGS


def _choose(candidates: Sequence[tuple[str, Shape]]) -> tuple[str, Shape]:
    defining = [candidate for candidate in candidates if candidate[1].definitions]
    if not defining:
        return max(candidates, key=lambda candidate: len(candidate[0]))
    first = defining[0]
    wholes = [whole for whole in defining if whole[1].definitions > first[1].definitions]
    return wholes[-1] if wholes else first


def _raw_code(text: str, language: str) -> list[tuple[str, Shape]]:
    """Return the runs of code in unfenced text; all of it where it is one program."""
    whole = text.strip("\r\n")
    first, _, rest = whole.partition("\n")
    ends = (first, rest.rpartition("\n")[2])
    if not any(is_prose(line, language) for line in ends):
        seen = shape(whole, language)
        if seen.clean and seen.code:
            return [(whole, seen)]
    runs = code_runs(whole, language)[:_MOST_CANDIDATES]
    read = [(run, shape(run, language)) for run in runs]
    return [(run, seen) for run, seen in read if seen.code]


def _inline(text: str, language: str) -> str:
    spans = []
    for match in _INLINE.finditer(text):
        span = match[2].strip()
        word, _, rest = span.partition(" ")
        if len(match[1]) > 1 and rest and find_language(word):
            span = rest.strip()
        if _MARKED.search(span) and not is_prose(span, language):
            spans.append(span)
    spans = sorted(spans, key=len, reverse=True)[:_MOST_CANDIDATES]
    return next((span for span in spans if shape(span, language).clean), "")
