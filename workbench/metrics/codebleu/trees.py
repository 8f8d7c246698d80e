"""Syntax trees as CodeBLEU looks at them: subtrees to compare, and tokens in their order."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING

from workbench.languages import language as find_language

if TYPE_CHECKING:
    import tree_sitter

STRINGS = frozenset({"string_literal", "string", "character_literal"})
"""Nodes that count as one token, whatever they are made of."""

_ATOM = re.compile(
    r"""
    ( \( (?: UNEXPECTED[ ] (?: '\\?.' | [-\w]+ ) | (?!MISSING[ ]) \w+ ) )
    | ( \w+: | \(MISSING[ ] (?: ".*?" | \w+ ) \) )
    | ( \) )
    """,
    re.VERBOSE | re.DOTALL,
)
"""What an S-expression of tree-sitter is made of: a node's beginning, a field or a missing node
(which has no children), a node's end."""


@dataclass(slots=True, eq=False)
class Node:
    """A node of a syntax tree. A token has a text and a place among the tokens, from 0."""

    kind: str
    raw: tree_sitter.Node
    children: list[Node] = field(default_factory=list)
    is_token: bool = False
    text: str = ""
    place: int = -1

    @property
    def is_word(self) -> bool:
        """Whether this is a token that the grammar does not spell out: a name or a literal."""
        return self.is_token and self.kind != self.text

    def field(self, name: str) -> Node | None:
        """Return the child that the grammar calls ``name``."""
        raw = self.raw.child_by_field_name(name)
        if raw is None:
            return None
        return next((child for child in self.children if child.raw == raw), None)

    def words(self) -> list[Node]:
        """Return the names and literals below, and the node itself if it is one, in order."""
        found, stack = [], [self]
        while stack:
            node = stack.pop()
            if node.is_word:
                found.append(node)
            stack.extend(reversed(node.children))
        return found


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text: its root, its tokens, and how often each of its subtrees occurs.

    ``subtrees`` are hashes of the root and of all nodes that have children, by S-expression.
    An S-expression names the named nodes only: it knows no identifiers and no operators.
    """

    root: Node
    tokens: list[Node]
    subtrees: Counter[int]


def parse(text: str, language: str, *, by_characters: bool) -> Tree:
    """Parse ``text``, which may be broken, into a Tree.

    ``by_characters`` cuts the texts of tokens out of the lines by the columns of tree-sitter,
    which count bytes, as if they counted characters: this is what the reference does, and is wrong
    behind any character outside ASCII.
    """
    source = text.encode("utf-8", "surrogatepass")
    raw = parse_bytes(source, language)
    tokens: list[Node] = []
    anonymous: list[int] = []
    written: list[bool] = []  # of each node that the S-expression names: whether it is a subtree
    root = Node(raw.type, raw)
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, inside = stack.pop()
        below = node.raw.children
        if node.raw.is_missing:  # a leaf; the S-expression also names some that no node shows
            pass
        elif node.raw.is_named:
            written.append(bool(below) or node is root)
        elif below:  # an operator of several words, such as ``not in``
            anonymous.append(hash(str(node.raw)))
        if not inside and (not below or node.kind in STRINGS) and node.kind != "comment":
            node.is_token = inside = True
            tokens.append(node)
        children = [Node(child.type, child) for child in below]
        if not inside:
            node.children = children
        stack.extend([(child, inside) for child in reversed(children)])
    _number(tokens)
    _read(tokens, text, source, by_characters and not text.isascii())
    hashes = compress(_hashes(str(raw)), written)
    return Tree(root, tokens, Counter([*hashes, *anonymous]))


def _hashes(expression: str) -> list[int]:
    """Return a hash for each node of an S-expression but missing ones, from the top down.

    Two hashes are equal where the expressions of the nodes are. Writing out the expression of each
    node instead would take time that grows with the square of the tree's depth.
    """
    hashes: list[int] = []
    places: list[int] = []
    parts: list[list[str | int]] = [[]]
    for opened, word, _ in _ATOM.findall(expression):
        if opened:
            places.append(len(hashes))
            hashes.append(0)
            parts.append([opened])
        elif word:  # a field, or a missing node
            parts[-1].append(word)
        else:
            hashes[places.pop()] = made = hash(tuple(parts.pop()))
            parts[-1].append(made)
    return hashes


def tagged(text: str, language: str) -> str:
    """Return ``text`` with the tag that a bare piece of PHP needs to be read as code."""
    return f"<?php {text}" if language == "php" and "<?" not in text else text


def parse_bytes(source: bytes, language: str) -> tree_sitter.Node:
    """Return the root of the tree of a source in UTF-8."""
    import tree_sitter

    return tree_sitter.Parser(grammar(language)).parse(source).root_node


@cache
def grammar(language: str) -> tree_sitter.Language:
    """Load the grammar of a language.

    Raises:
        UnknownName: no language is called so.
    """
    import tree_sitter

    module, function = find_language(language).grammar.split(":")
    return tree_sitter.Language(getattr(importlib.import_module(module), function)())


def _number(tokens: list[Node]) -> None:
    """Give tokens their places. Tokens without width that lie at one spot share the last place."""
    last: dict[int, int] = {}
    for place, token in enumerate(tokens):
        token.place = place
        if token.raw.start_byte == token.raw.end_byte:
            last[token.raw.start_byte] = place
    for token in tokens:
        if token.raw.start_byte == token.raw.end_byte:
            token.place = last[token.raw.start_byte]


def _read(tokens: list[Node], text: str, source: bytes, by_characters: bool) -> None:
    """Give tokens their texts; line ends inside a token are left out, as in the reference."""
    lines = text.split("\n") if by_characters else []
    for token in tokens:
        raw = token.raw
        if by_characters:
            token.text = _cut(lines, tuple(raw.start_point), tuple(raw.end_point))
        else:
            piece = source[raw.start_byte : raw.end_byte].decode("utf-8", "replace")
            token.text = piece.replace("\n", "")


def _cut(lines: list[str], start: tuple[int, ...], end: tuple[int, ...]) -> str:
    """Cut from (line, column) to (line, column), without line ends."""
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first][left:right]
    return "".join((lines[first][left:], *lines[first + 1 : last], lines[last][:right]))
