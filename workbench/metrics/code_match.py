"""Whether an answer is a right one: letter for letter, or as a syntax tree; 1 or 0.

Both are lower bounds of correctness: other code may be right as well.
"""

from __future__ import annotations

from functools import lru_cache

from workbench.languages import language as language_of
from workbench.metrics.codebleu.metric import language_for
from workbench.metrics.codebleu.trees import parse_bytes, tagged
from workbench.metrics.mean import Mean, reference_texts
from workbench.types import Answer, Example


def exact_match() -> Mean:
    """Make the share of answers that are one of the reference's texts: see ``same_text``."""

    def judge(answer: Answer, example: Example) -> tuple[float, str]:
        texts = reference_texts(example)
        return float(any(same_text(answer.text, right) for right in texts)), ""

    return Mean("exact match", "exact match|norm:line-ends,trailing-blanks", judge, verdict=True)


def ast_match(language: str | None = None) -> Mean:
    """Make the share of answers whose tree is that of one of the reference's: see ``same_tree``.

    ``language`` None takes that of the question's target, or else of the answer.

    Raises:
        UnknownName: no language is called so.
    """
    fixed = None if language is None else language_of(language).name

    def judge(answer: Answer, example: Example) -> tuple[float, str]:
        name = language_for(answer, example, fixed)
        texts = reference_texts(example)
        return float(any(same_tree(answer.text, right, name) for right in texts)), ""

    signature = f"AST match|lang:{fixed or 'each'}|without:comments,layout"
    return Mean("AST match", signature, judge, verdict=True)


def same_text(text: str, right: str) -> bool:
    r"""Whether two texts are equal but for line ends, blanks at them, and empty lines around.

    ``\r\n`` and ``\r`` become ``\n``, blanks at the ends of lines go, and so do empty lines before
    the first and behind the last line of text; all else counts, indents and comments included.
    """
    return _trimmed(text) == _trimmed(right)


def same_tree(text: str, right: str, language: str) -> bool:
    """Whether two programs have equal syntax trees: names, literals and operators count.

    Comments, blanks, line breaks and continuations do not; Python's docstrings are strings and do.
    A string is compared letter for letter. Optional tokens (a semicolon, a pair of brackets) are
    in the tree, and count. Texts with syntax errors are equal where their broken trees are. In PHP
    a text without a tag is read as code.

    Raises:
        UnknownName: no language is called so.
    """
    name = language_of(language).name
    return _outline(text, name) == _outline_of_reference(right, name)


def _outline(text: str, language: str) -> tuple[tuple[str, str | int], ...]:
    """Write a tree down from the top: kind and number of children, or kind and text."""
    source = tagged(text, language).encode("utf-8", "surrogatepass")
    outline: list[tuple[str, str | int]] = []
    root = parse_bytes(source, language)
    stack = [root]
    while stack:
        node = stack.pop()
        if _is_string(node.type) or not (node.children or node is root):
            piece = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
            outline.append((node.type, piece))
        else:
            below = [child for child in node.children if not _is_layout(child.type)]
            outline.append((node.type, len(below)))
            stack.extend(reversed(below))
    return tuple(outline)


_outline_of_reference = lru_cache(maxsize=1024)(_outline)


def _is_layout(kind: str) -> bool:
    return "comment" in kind or kind == "line_continuation"


def _is_string(kind: str) -> bool:
    return "string" in kind and kind != "concatenated_string"


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(lines).strip("\n")
