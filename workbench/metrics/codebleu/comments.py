"""Take comments out of a text: as the reference implementation does, or as the grammar says.

In the reference, Python goes through ``tokenize``, which also takes docstrings out, and the text
stays as it is where that fails; ``tokenize`` reads f-strings otherwise from Python 3.12 on, and so
do the reference's numbers. All other languages go through one regular expression that knows quotes
and slashes and no grammar, so what looks like a comment in a template string, a regular expression
or a raw string goes too, and an apostrophe in a comment of another kind (``#`` in PHP) opens a
string.
"""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING

from workbench.metrics.codebleu.trees import parse_bytes

if TYPE_CHECKING:
    import tree_sitter

_COMMENT_OR_STRING = re.compile(
    r"""
    (?P<comment> //.*?$ | /\*.*?\*/ )
    | '(?:\\.|[^\\'])*'
    | "(?:\\.|[^\\"])*"
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def strip_comments(text: str, language: str) -> str:
    """Return ``text`` without comments (Python: and docstrings) and without blank lines."""
    if language == "python":
        try:
            stripped = _strip_python(text)
        except (tokenize.TokenError, SyntaxError):  # unfinished or misindented: kept as it is
            return text
    else:
        stripped = _COMMENT_OR_STRING.sub(_blank_comment, text)
    return "\n".join(line for line in stripped.split("\n") if line.strip())


def _blank_comment(match: re.Match[str]) -> str:
    return match[0] if match["comment"] is None else " "


def _strip_python(text: str) -> str:
    """Write the tokens back at their columns, without comments and free-standing strings.

    A string is dropped after an indent, after a logical line's end, and at the start of a line.
    """
    pieces: list[str] = []
    before, last_line, last_column = tokenize.INDENT, -1, 0
    for kind, string, (line, column), (end_line, end_column), _ in tokenize.generate_tokens(
        io.StringIO(text).readline
    ):
        if line > last_line:
            last_column = 0
        if column > last_column:
            pieces.append(" " * (column - last_column))
        free_standing = before in (tokenize.INDENT, tokenize.NEWLINE) or column == 0
        dropped = kind == tokenize.COMMENT or (kind == tokenize.STRING and free_standing)
        if not dropped:
            pieces.append(string)
        before, last_line, last_column = kind, end_line, end_column
    return "".join(pieces)


def blank_comments(text: str, language: str) -> str:
    """Return ``text`` with a blank for each comment (Python: and docstring) that its tree has.

    A docstring that is all that a body holds stays, as the body would be none without it.
    """
    source = text.encode("utf-8", "surrogatepass")
    kept, end = [], 0
    for node in _comments(source, language):
        kept.append(source[end : node.start_byte])
        end = node.end_byte
    kept.append(source[end:])
    return b" ".join(kept).decode("utf-8", "replace")


def _comments(source: bytes, language: str) -> list[tree_sitter.Node]:
    """Return comments and docstrings in the order in which they stand."""
    found = []
    stack = [parse_bytes(source, language)]
    while stack:
        node = stack.pop()
        if "comment" in node.type or (language == "python" and _is_docstring(node)):
            found.append(node)
        else:
            stack.extend(reversed(node.children))
    return found


def _is_docstring(node: tree_sitter.Node) -> bool:
    """Whether this is a string that stands by itself first in a body of more than it."""
    if node.type != "expression_statement" or [one.type for one in node.children] != ["string"]:
        return False
    body = node.parent
    if body is None or body.type not in ("module", "block"):
        return False
    statements = [child for child in body.named_children if child.type != "comment"]
    return len(statements) > 1 and statements[0] == node
