"""The baseline that every model must beat: answer with the best hit."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

from workbench.backends.streaming import Transcript
from workbench.errors import BackendError
from workbench.languages import find_language
from workbench.types import (
    SAMPLING,
    Capabilities,
    Chunk,
    Completion,
    Prompt,
    SamplingParams,
    Sent,
    Token,
    fence_for,
)

_SENT = Sent((), {}, notes=("Nothing was sent to a model: the best hit is the answer.",))


class BestHit:
    """Answers with the chunk of rank 1: a paragraph about it, then its code in a fence."""

    capabilities = Capabilities(sampling=(), local=True)

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield the prose, the code, and the Completion. Nothing is generated, so none is counted.

        Raises:
            BackendError: the prompt came without hits.
        """
        transcript = Transcript(self.name, _SENT)
        hits = (*prompt.hits, *prompt.left_out)
        if not hits:
            raise BackendError(
                "The retrieval backend answers from a corpus, and none was searched (or nothing "
                "was found).",
                "Choose one: --corpus python-stdlib",
            )
        chunk = min(hits, key=lambda hit: hit.rank).chunk
        yield transcript.token(f"{describe(chunk)}\n\n")
        yield transcript.token(_fenced(chunk))
        yield transcript.completion("stop", ignored=SAMPLING)

    def close(self) -> None:
        """Do nothing: no model is held."""


def describe(chunk: Chunk) -> str:
    """Return what the chunk says of itself (docstring or leading comment), or else its place."""
    words = _docstring(chunk.text) if chunk.language == "python" else None
    words = words or _leading_comment(chunk)
    if words:
        return " ".join(words.split("\n\n")[0].split())
    place = f"{chunk.path}:{chunk.start_line}-{chunk.end_line}"
    return f"`{chunk.symbol}` at {place}" if chunk.symbol else place


def _docstring(code: str) -> str | None:
    try:
        tree = ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError):
        return None
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in (*tree.body[:1], tree):
        if isinstance(node, (*definitions, ast.Module)):
            found = ast.get_docstring(node)
            if found:
                return found
    return None


def _leading_comment(chunk: Chunk) -> str:
    """Return the comment lines at the head of the chunk without their marks."""
    language = find_language(chunk.language or "")
    mark = language.line_comment if language else "#"
    lines: list[str] = []
    block = False
    for raw in chunk.text.splitlines():
        line = raw.strip()
        if not block and line.startswith("/*"):
            block = True
        if (not block and not line.startswith(mark)) or line.startswith("#!"):
            break
        lines.append(line.removeprefix("/*").removesuffix("*/").strip(f"*{mark} \t!"))
        if block and line.endswith("*/"):
            block = False
    return "\n".join(lines).strip()


def _fenced(chunk: Chunk) -> str:
    fence = fence_for(chunk.text)
    code = chunk.text.removesuffix("\n")
    return f"{fence}{chunk.language or ''}\n{code}\n{fence}\n"
