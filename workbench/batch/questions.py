"""The questions of a batch, from a file of prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.spec import RunSpec
    from workbench.types import Question

_JSON = (".jsonl", ".ndjson")
_FIELDS = ("text", "task", "language", "target_language", "audience")


def read_prompts(path: Path, spec: RunSpec) -> list[Question]:
    """Read a text file, one prompt a line, or JSON lines (``.jsonl``) with more to a prompt.

    A JSON line holds ``text`` and, optionally, ``id``, ``task``, ``language``, ``target_language``
    and ``audience``; ``spec`` says what holds where a line does not. Without ``id`` a question is
    called by its line: ``line-3``. Empty lines are left out.

    Raises:
        BadInput: the file cannot be read or is empty, or a line is malformed; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadInput(f"{path} cannot be read: {cause}.", "Check the path.") from error
    is_json = path.suffix.lower() in _JSON
    found: dict[str, Question] = {}
    # Not splitlines, which also splits at characters that JSON may hold as they are (U+2028).
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = _fields(line) if is_json else {"text": line.strip()}
            name = fields.pop("id", f"line-{number}")
            question = replace(spec, **fields).question()
        except (ValueError, WorkbenchError) as error:
            raise BadInput(f"Line {number} of {path.name}: {error}", "Mend that line.") from error
        if name in found:
            raise BadInput(
                f"Line {number} of {path.name}: another line has the id {name}.",
                "Give each line an id of its own.",
            )
        found[name] = replace(question, id=name)
    if not found:
        raise BadInput(f"{path.name} holds no prompt.", "Write one a line.")
    return list(found.values())


def _fields(line: str) -> dict[str, Any]:
    """Return what a JSON line says.

    Raises:
        ValueError: it is no object, or one of its fields is unknown or no text.
    """
    given = json.loads(line)
    if not isinstance(given, dict) or "text" not in given:
        raise ValueError('it is no JSON object with "text".')
    for name, value in given.items():
        if name not in ("id", *_FIELDS):
            raise ValueError(f"{name} is no field of a prompt; known: id, {', '.join(_FIELDS)}.")
        if not isinstance(value, str) and not (name == "id" and isinstance(value, int)):
            raise ValueError(f"{name} is no text.")
    if "id" in given:
        given["id"] = str(given["id"])
    return given
