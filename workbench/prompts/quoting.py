"""How foreign text stands in a prompt so that it cannot pass for the prompt itself."""

from __future__ import annotations

import re

from workbench.languages import find_language
from workbench.types import Chunk, fence_for

# Words that chat templates give a meaning: ChatML (Qwen, SmolLM2), Llama 2 and 3, Gemma,
# DeepSeek. Runners tokenize a rendered conversation with these words as control tokens, so in a
# chunk they would end the message.
CHAT_TOKEN = re.compile(
    r"<\|[\w/-]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|<(?:start|end)_of_turn>|</?s>|\[/?INST\]|<</?SYS>>"  # noqa: RUF001
)


def fenced(text: str, language: str | None = None) -> str:
    """Put ``text`` into a code block that nothing inside it can close."""
    known = find_language(language) if language else None
    fence = fence_for(text)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}{known.tags[0] if known else ''}\n{text}{end}{fence}"


def quoted(chunk: Chunk) -> str:
    """Put a retrieved chunk into a code block, its chat tokens broken by a space.

    A chunk is untrusted: neither a fence in it nor a control token can end the block.
    """
    return fenced(CHAT_TOKEN.sub(_broken, chunk.text), chunk.language)


def title(chunk: Chunk) -> str:
    """Name a chunk on one line: ``heapq.py:120-141, Python, merge``."""
    known = find_language(chunk.language) if chunk.language else None
    parts = (chunk.location, known.title if known else chunk.language, chunk.symbol)
    line = ", ".join(" ".join(part.split()) for part in parts if part)
    return CHAT_TOKEN.sub(_broken, line.replace("`", "'"))


def _broken(match: re.Match[str]) -> str:
    word = match.group()
    return f"{word[0]} {word[1:]}"
