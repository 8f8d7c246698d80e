"""Whether an answer is a right one: letter for letter, or as a syntax tree.

Shares from 0 to 1, the figure of a suite being the mean over its questions of the mean over their
samples. Both are lower bounds of correctness: other code may be right as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean
from typing import Protocol

from workbench.languages import find_language
from workbench.languages import language as language_of
from workbench.metrics.codebleu.trees import parse_bytes, tagged
from workbench.types import Answer, Example, Score


class _Match(Protocol):
    """Says whether a text is a right one."""

    def __call__(self, text: str, right: str) -> bool:
        """Compare the two."""


class ExactMatch:
    """The share of answers that are a reference's text, but for line ends and blanks.

    Line ends are made one kind, blanks at the ends of lines go, and so do empty lines before the
    first and behind the last line of text; all else counts, indents and comments included.
    """

    name = "exact match"
    signature = "exact match|norm:line-ends+trailing-blanks"
    higher_is_better = True

    def score(self, answer: Answer, example: Example) -> Score:
        """Return 1 where the answer is one of the example's texts, else 0."""
        return _score(self.name, answer.text, example, exact_match)

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the mean over questions of the mean over samples."""
        return _mean(by_question)


class AstMatch:
    """The share of answers whose syntax tree is a reference's: see ``ast_match``.

    ``language`` None takes that of the question's target, or else of the answer.
    """

    name = "AST match"
    higher_is_better = True

    def __init__(self, language: str | None = None) -> None:
        """Choose the language.

        Raises:
            UnknownName: no language is called so.
        """
        self.language = None if language is None else language_of(language).name

    @property
    def signature(self) -> str:
        """The name, the language, and what is left out of the trees."""
        return f"AST match|lang:{self.language or 'each'}|without:comments,layout"

    def score(self, answer: Answer, example: Example) -> Score:
        """Return 1 where the answer's tree is that of one of the example's texts, else 0."""
        asked = self.language or example.question.target_language or answer.language
        known = find_language(asked) if asked else None
        if known is None:
            return Score(self.name, None, f"no grammar for {asked}" if asked else "no language")
        language = known.name
        return _score(
            self.name, answer.text, example, lambda text, right: ast_match(text, right, language)
        )

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the mean over questions of the mean over samples."""
        return _mean(by_question)


def exact_match(text: str, right: str) -> bool:
    """Whether two texts are equal but for line ends, blanks at them, and empty lines around."""
    return _trimmed(text) == _trimmed(right)


def ast_match(text: str, right: str, language: str) -> bool:
    """Whether two programs have equal syntax trees: names, literals and operators count.

    Comments, blanks, line breaks and continuations do not; Python's docstrings are strings and do.
    A string is compared letter for letter. Optional tokens (a semicolon, a pair of brackets) are
    in the tree, and count. Texts with syntax errors are equal where their broken trees are.

    Raises:
        UnknownName: no language is called so.
    """
    name = language_of(language).name
    return _outline(text, name) == _outline_of_reference(right, name)


def _outline(text: str, language: str) -> tuple[tuple[str, str | int], ...]:
    """Write a tree down from the top: kind and number of children, or kind and text."""
    source = tagged(text, language).encode("utf-8", "surrogatepass")
    outline: list[tuple[str, str | int]] = []
    stack = [parse_bytes(source, language)]
    while stack:
        node = stack.pop()
        kind = node.type
        below = [child for child in node.children if not _is_layout(child.type)]
        if below and not _is_string(kind):
            outline.append((kind, len(below)))
            stack.extend(reversed(below))
        else:
            piece = source[node.start_byte : node.end_byte] if not node.children else None
            outline.append((kind, (piece or node.text or b"").decode("utf-8", "surrogatepass")))
    return tuple(outline)


_outline_of_reference = lru_cache(maxsize=1024)(_outline)


def _is_layout(kind: str) -> bool:
    return "comment" in kind or kind == "line_continuation"


def _is_string(kind: str) -> bool:
    return "string" in kind and kind != "concatenated_string"


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(lines).strip("\n")


def _score(name: str, text: str, example: Example, match: _Match) -> Score:
    """Compare a text with all right ones, the suite's own first."""
    texts = example.reference.texts
    if not texts:
        return Score(name, None, "no reference text")
    return Score(name, float(any(match(text, right) for right in texts)))


def _mean(by_question: Sequence[Sequence[Score]]) -> float | None:
    means = []
    for scores in by_question:
        values = [score.value for score in scores if score.value is not None]
        if values:
            means.append(fmean(values))
    return fmean(means) if means else None
