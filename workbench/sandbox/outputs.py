"""Whether a program printed what it should have."""

from __future__ import annotations

import hashlib
import math

from workbench.types import Run


def mismatch(printed: str, run: Run, tolerance: float | None) -> str | None:
    """Return one line on how the output differs from the one wanted, None where it does not.

    Blanks at the ends of lines, and empty lines at the end, do not count.
    """
    if run.digest is not None:
        name, _, wanted = run.digest.partition(":")
        digest = hashlib.new(name, printed.strip().encode("utf-8", "surrogateescape"))
        if digest.hexdigest() != wanted.lower():
            return f"the {name} of the output is another"
        if run.stdout is None:
            return None
    lines, wanted_lines = _lines(printed), _lines(run.stdout or "")
    for number, (line, expected) in enumerate(zip(lines, wanted_lines, strict=False), 1):
        if line != expected and not (tolerance is not None and _is_near(line, expected, tolerance)):
            return f"line {number} is {_short(line)}, not {_short(expected)}"
    if len(lines) != len(wanted_lines):
        return f"{len(lines)} lines, not {len(wanted_lines)}"
    return None


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _is_near(line: str, expected: str, tolerance: float) -> bool:
    """Whether two lines have equal words, of which numbers need only be near."""
    words, wanted = line.split(), expected.split()
    return len(words) == len(wanted) and all(
        word == want or _near(word, want, tolerance)
        for word, want in zip(words, wanted, strict=True)
    )


def _near(word: str, wanted: str, tolerance: float) -> bool:
    try:
        value, expected = float(word), float(wanted)
    except ValueError:
        return False
    return math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
