"""The code of a Jupyter notebook, as a script in the percent format: cells without outputs.

A notebook is a file from anywhere. It is measured before it is parsed, as ten megabytes of JSON
can make a gigabyte of Python objects, or a depth that no stack holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.languages import Language, find_language

ENDING = ".ipynb"
MAX_NOTEBOOK_BYTES = 10_000_000
"""Largest notebook that is read. Most of a large one is pictures in its outputs, which are dropped;
its code is as large as that of other files. Parsing takes up to ten times as much memory."""
MAX_VALUES = 400_000
"""Most values of the JSON (a dictionary of Python takes 200 bytes): a large data frame or plot has
100,000."""
MAX_DEPTH = 200
"""Deepest nesting. Cells lie 4 deep; the JSON of a plot in an output adds 10 or so."""

# Possessive, so that a string of megabytes leaves no trail to go back on; an open one ends all.
_STRING = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")

# The magics whose cell is Python all the same; what the others hold is another language, or a file.
_PYTHON_CELLS = frozenset({"capture", "debug", "prun", "time", "timeit"})
# Lines that IPython takes and Python does not: %magic, !shell, name?, x = !shell, x = %magic.
_MAGIC = re.compile(
    r"""(?P<indent> [ \t]*+ )
        (?: %%? [A-Za-z_]
          | !
          | \?{1,2} [\w.%*]
          | %{0,2} [\w.*]++ \?{1,2} [ \t]*+ \r? $
          | [\w.,\ \[\]'"]++ = [ \t]*+ (?: ! | % [A-Za-z_] )
        )""",
    re.VERBOSE,
)
_CELL_MAGIC = re.compile(r"\s*%%(?P<name>\w*)")
# Strings and comments of Python, so that a line of a text is not taken for a magic.
_TEXTS = re.compile(
    r"""(?P<long> (?P<quote> \"{3} | '{3} )
          (?: [^\\"']++ | \\.? | (?! (?P=quote) ) . )*+ (?: (?P=quote) | \Z ) )
      | " (?: [^"\\\n]++ | \\. )*+ "? | ' (?: [^'\\\n]++ | \\. )*+ '? | \#[^\n]*""",
    re.DOTALL | re.VERBOSE,
)
_HEADER = re.compile(r"(?:#|//) %%(?: \[(?P<language>\w+)\])?")


class NotebookError(Exception):
    """A notebook that is no source of code; the message is the reason, as it is counted."""


def is_notebook(path: str) -> bool:
    """Tell a notebook by the ending of its name."""
    return path.lower().endswith(ENDING)


def code_of_notebook(text: str, *, max_characters: int = 1_000_000) -> str:
    """Return the code cells of a notebook of format 2, 3 or 4 as one script.

    Each cell begins with a line ``# %%``, as VS Code, Spyder and Jupytext know it. Where the
    kernel speaks another language, the line is a comment there and names it: ``// %% [java]``.
    What is IPython's and not Python's (magics, shell lines) becomes a comment.

    Raises:
        NotebookError: "malformed notebook", "notebook too complex", "notebook without code",
            "notebook in another language" (one that the workbench does not know) or "too large"
            where there are more than ``max_characters`` of code.
    """
    table = _parse(text)
    cells = [source for cell in _code_cells(table) if (source := _source(cell)).strip()]
    if not cells:
        raise NotebookError("notebook without code")
    if sum(map(len, cells)) > max_characters:
        raise NotebookError("too large")
    language = _language(table)
    if language.name == "python":
        cells = [_comment_magics(cell) for cell in cells]
        header = "# %%"
    else:
        header = f"{language.line_comment} %% [{language.name}]"
    return "\n".join(f"{header}\n{cell.rstrip()}\n" for cell in cells)


def language_of_code(code: str) -> str | None:
    """Return the name of the language of what ``code_of_notebook`` returned."""
    header = _HEADER.match(code)
    return (header["language"] or "python") if header else None


def _parse(text: str) -> dict[str, Any]:
    _measure(text)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise NotebookError("malformed notebook") from None
    if not isinstance(table, dict):
        raise NotebookError("malformed notebook")
    return table


def _measure(text: str) -> None:
    """Refuse what would not fit into memory, or on the stack, when parsed."""
    if text.count('"') > 4 * MAX_VALUES:
        raise NotebookError("notebook too complex")
    frame = _STRING.sub("", text)
    if frame.count(",") + frame.count("[") + frame.count("{") > MAX_VALUES:
        raise NotebookError("notebook too complex")
    depth = 0
    for bracket in _BRACKET.finditer(frame):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise NotebookError("notebook too complex")


def _code_cells(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in _cells(table):
        if not isinstance(cell, dict):
            raise NotebookError("malformed notebook")
        if cell.get("cell_type") == "code":
            yield cell


def _source(cell: Mapping[str, Any]) -> str:
    """Return the text of a code cell: one string, or a list of lines with their ends."""
    value = cell["source"] if "source" in cell else cell.get("input")  # formats 2 and 3
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    raise NotebookError("malformed notebook")


def _cells(table: Mapping[str, Any]) -> Iterator[Any]:
    # Formats 2 and 3 have sheets, of which Jupyter never wrote more than one.
    sheets = [table] if "cells" in table else table.get("worksheets")
    if not isinstance(sheets, list) or not sheets:
        raise NotebookError("malformed notebook")
    for sheet in sheets:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        if not isinstance(cells, list):
            raise NotebookError("malformed notebook")
        yield from cells


def _language(table: Mapping[str, Any]) -> Language:
    """Return the kernel's language; Python where the notebook does not say, as the old ones."""
    word = "python"
    for key, field in (("language_info", "name"), ("kernelspec", "language")):
        part = table.get("metadata")
        part = part.get(key) if isinstance(part, dict) else None
        said = part.get(field) if isinstance(part, dict) else None
        if isinstance(said, str) and said.strip():
            word = said
            break
    # Format 3 says it in each cell.
    if word == "python" and "cells" not in table:
        words = {str(cell["language"]) for cell in _code_cells(table) if "language" in cell}
        word = words.pop() if len(words) == 1 else word
    found = find_language("python" if word == "ipython" else word)
    if found is None:
        raise NotebookError("notebook in another language")
    return found


def _comment_magics(cell: str) -> str:
    """Return a cell of IPython with all that is not Python turned into comments."""
    lines = cell.split("\n")
    found = _CELL_MAGIC.match(cell)
    if found is not None and found["name"] not in _PYTHON_CELLS:
        return "\n".join(f"# {line}".rstrip() for line in lines)
    if not any(map(_MAGIC.match, lines)):
        return cell
    inside = _rows_inside_texts(cell)
    goes_on = False
    for row, line in enumerate(lines):
        magic = None if row in inside else _MAGIC.match(line)
        if magic is not None:
            indent = magic["indent"]
            lines[row] = f"{indent}# {line[len(indent) :]}"
        elif goes_on:
            lines[row] = f"# {line}"
        goes_on = (goes_on or magic is not None) and line.rstrip("\r").endswith("\\")
    return "\n".join(lines)


def _rows_inside_texts(cell: str) -> set[int]:
    """Return the rows that begin inside a string of several lines."""
    rows: set[int] = set()
    row = position = 0
    for text in _TEXTS.finditer(cell):
        if text["long"]:
            row += cell.count("\n", position, text.start())
            last = row + text["long"].count("\n")
            rows.update(range(row + 1, last + 1))
            row, position = last, text.end()
    return rows
