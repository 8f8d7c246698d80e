"""Tell lines of prose from lines of code where no fence does."""

from __future__ import annotations

import re

_OPENING_WORDS = (
    "abstract and assert async await break case catch class const continue def default del do"
    " echo elif else enum except export extends extern final finally for foreach from func"
    " function global goto if import include interface internal lambda let match namespace new"
    " nonlocal not or override package pass print private protected public raise record require"
    " return sealed static struct switch template throw throws trait try type typedef use using"
    " var virtual void while with yield"
)
_OPENERS = frozenset(_OPENING_WORDS.split())
_COMMENT = ("//", "/*", "*/", "<?", "?>", '"""', "'''", "@")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,3}[.)])\s|\*\*|#{2,6}\s|>\s")
_LABEL = re.compile(r"[A-Z][\w+#]*(?: [\w+#]+){0,4}:\Z")
_SENTENCE_END = re.compile(r"[\w`)\]\"'][.!?]\Z")
_SYMBOL = re.compile(r"[={};<>\[\]]")
# A longer line is no sentence, and is not worth its reading.
_LONGEST = 2_000


def is_prose(line: str, language: str) -> bool:
    """Say whether a line reads as a sentence, a bullet or a label rather than code."""
    text = line.strip()[:_LONGEST]
    if not text or text.startswith(_COMMENT):
        return False
    if text.startswith("#") and not text.startswith("##"):
        return language not in ("python", "php", "cpp", "csharp")
    if _BULLET.match(text):
        return True
    words = text.split()
    code = text.count(";") + text.count("{") + text.count("}") + text.count(" = ")
    if len(words) >= 3 and _SENTENCE_END.search(text) and not code:
        return True
    if words[0] in _OPENERS:
        return False
    if _LABEL.match(text) or (len(words) >= 3 and text.endswith(":") and not code):
        return True
    return len(words) >= 5 and not _SYMBOL.search(text) and "(" not in words[0]


def code_runs(text: str, language: str) -> list[str]:
    """Return the runs of lines that are not prose, in order, without blank lines around them.

    An indented or blank line is what the line before it was: docstrings and lists go on.
    """
    runs: list[list[str]] = []
    prose = True
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip()
        if stripped and (number == 0 or line[0] not in " \t"):
            was, prose = prose, is_prose(line, language)
            if was and not prose:
                runs.append([])
        if not prose:
            runs[-1].append(line)
    return ["\n".join(run).strip("\r\n") for run in runs]
