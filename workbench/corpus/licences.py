"""Which licence a file stands under: by licence texts, and by SPDX headers."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from pathlib import PurePosixPath

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

MAX_LICENCE = 60_000
"""Characters of a licence text that are read: the longest, the GPL, has 35,000."""
MAX_EDITS = 0.05
"""Share of a text that may be edited, for it to be the licence still; ``identify``'s own limit."""
HEADER_LINES = 40
"""An SPDX header stands among the first lines of a file, behind a shebang or a copyright."""
MAX_EXPRESSION = 200
"""Longest SPDX expression, in characters, that is taken from a header."""

PERMISSIVE = frozenset(
    {
        *("0BSD", "AFL-3.0", "Apache-2.0", "Artistic-2.0", "BSD-1-Clause", "BSD-2-Clause"),
        *("BSD-2-Clause-Patent", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSL-1.0"),
        *("BlueOak-1.0.0", "CC0-1.0", "CNRI-Python", "ECL-2.0", "HPND", "ICU", "ISC", "Libpng"),
        *("MIT", "MIT-0", "MIT-CMU", "MulanPSL-2.0", "NCSA", "NTP", "PSF-2.0", "PostgreSQL"),
        *("Python-2.0", "Python-2.0.1", "TCL", "UPL-1.0", "Unicode-3.0", "Unlicense", "W3C"),
        *("WTFPL", "X11", "ZPL-2.1", "Zlib", "curl", "libpng-2.0", "zlib-acknowledgement"),
    }
)
"""Licences that allow use, change and redistribution and ask for no more than a notice: the usual
ones of the Blue Oak Council's permissive list, and the public-domain dedications."""

# LICENSE, LICENCE.txt, LICENSE-MIT, LICENSE.APACHE, COPYING.LESSER, MIT-LICENSE.md, UNLICENSE; not
# license.py, which is code.
_NAME = re.compile(
    r"""(?P<before> [a-z\d]+ [-_] )?
        ( un )? ( licen[cs]es? | copying | copyright ) 3?
        ( [-_] (?P<after> [-\w]+ ( \.\d+ )* )
        | \. (?P<word> ( apache | boost | bsd | gpl | isc | lesser | lgpl | mit | mpl ) [-\d.]* )
        )?
        ( \. ( txt | md | rst | html ) )?""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADER = re.compile(r"SPDX-License-Identifier:[ \t]*([-\w.+() \t]+)")
_MARKS = " \t\r#/*-;%=\"'"
_NOTICE = re.compile(r"Copyright\b|\(c\)|\(C\)|©|All rights reserved")
_BULLET = re.compile(r"(\(?[a-z\d]{1,2}[.)]|[*•-])\s+")
_WORD = re.compile(r"[a-z\d]+")
# A few words can take back what a licence allows: the JSON licence, the Commons Clause.
_LIMITS = re.compile(r"\b(?:not evil|non ?commercial|commons clause)\b")
_TOKEN = re.compile(r"[()]|[^\s()]+")


def is_licence_file(path: str) -> bool:
    """Tell whether a file's name says that it holds a licence text: LICENSE, COPYING, ..."""
    return _NAME.fullmatch(PurePosixPath(path).name) is not None


def identify_licence(text: str) -> str | None:
    """Return the SPDX expression that a licence file stands for, or None where it is not known.

    An SPDX header in the text counts first. Otherwise the words are compared with those of the
    licences of choosealicense.com: the nearest one counts that is less than 5 % of edits away
    (Ukkonen's bounded edit distance, as in the ``identify`` package). A file with several
    licences is none of them. A text of the GPL family does not say "or later", so its id is that
    of the version.
    """
    return header_licence(text) or _identify(text[:MAX_LICENCE])


def header_licence(text: str) -> str | None:
    """Return the expression of a ``SPDX-License-Identifier:`` header, or None.

    A header that is no valid expression, by the SPDX list that ``packaging`` carries, is none.
    """
    if "SPDX-License-Identifier:" not in text:
        return None
    head = "\n".join(text.split("\n", HEADER_LINES)[:HEADER_LINES])
    found = _HEADER.search(head)
    return canonical_licence(found[1].strip(" \t-")) if found else None


def canonical_licence(expression: str) -> str | None:
    """Return an SPDX expression in its official spelling, or None where it is not valid."""
    # packaging evaluates the brackets by Python's own parser, which a long expression can exhaust.
    if len(expression) > MAX_EXPRESSION:
        return None
    try:
        return str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression:
        return None


def is_permissive(expression: str | None) -> bool:
    """Tell whether an SPDX expression allows reuse under no more than a notice.

    Of ``A OR B`` one must be permissive, of ``A AND B`` both; an exception (``WITH``) only ever
    allows more. What is unknown or not valid is not permissive.
    """
    canonical = canonical_licence(expression) if expression else None
    return canonical is not None and _either(_TOKEN.findall(canonical))


class Licences:
    """The licence files of a tree, as a crawler meets them.

    Let it ``see`` every licence file before asking for the licence ``of`` the others.
    """

    def __init__(self) -> None:
        self._by_folder: dict[PurePosixPath, dict[str, str | None]] = {}

    def see(self, path: str, text: str) -> None:
        """Take note of a file; only licence files count."""
        if is_licence_file(path):
            where = PurePosixPath(path)
            self._by_folder.setdefault(where.parent, {})[where.name] = identify_licence(text)

    def of(self, path: str) -> str | None:
        """Return the SPDX expression of a file: that of the nearest licence at or above it.

        Where a folder holds ``LICENSE-MIT`` and ``LICENSE-APACHE``, either may be chosen; other
        licences side by side hold together. None where there is no licence, or no known one.
        """
        for folder in PurePosixPath(path).parents:
            if folder in self._by_folder:
                return _join(self._by_folder[folder])
        return None


def _names_its_licence(name: str) -> bool:
    """Tell LICENSE-MIT from LICENSE."""
    found = _NAME.fullmatch(name)
    return found is not None and any(found.group("before", "after", "word"))


def _join(by_name: dict[str, str | None]) -> str | None:
    known = {name: licence for name, licence in by_name.items() if licence}
    licences = sorted(set(known.values()))
    if len(licences) < 2:
        return licences[0] if licences else None
    # The Lesser GPL 3 is written as additions to the GPL, whose text must lie beside it.
    if len(licences) == 2 and "LGPL-3.0" in licences and "GPL-3.0" in licences:
        return "LGPL-3.0"
    operator = " OR " if all(map(_names_its_licence, known)) else " AND "
    return operator.join(f"({each})" if " " in each else each for each in licences)


@lru_cache(maxsize=256)  # the same few texts lie in every package and beside vendored code
def _identify(text: str) -> str | None:
    from ukkonen import distance  # type: ignore[import-untyped]

    words = _words(text)
    limit = math.ceil(len(words) * MAX_EDITS)
    nearest, fewest = None, limit
    for licence, reference in _references():
        if abs(len(words) - len(reference)) >= fewest:
            continue
        edits = distance(words, reference, fewest)
        if edits < fewest and set(_LIMITS.findall(words)) <= set(_LIMITS.findall(reference)):
            nearest, fewest = licence, edits
    return nearest


@cache
def _references() -> tuple[tuple[str, str], ...]:
    """Return the known licences with their words, those of choosealicense.com in ``identify``.

    The Apache licence stands there with its appendix, which half of all copies leave out, and
    which ends in the notice that others have instead of the licence.
    """
    from identify.vendor.licenses import LICENSES

    body, _, appendix = dict(LICENSES)["Apache-2.0"].partition("APPENDIX:")
    notice = appendix[appendix.index("Licensed under the Apache License") :]
    texts = (*LICENSES, ("Apache-2.0", body), ("Apache-2.0", notice))
    return tuple((licence, _words(text)) for licence, text in texts)


def _words(text: str) -> str:
    """Return what two copies of a licence have in common: its words, in lower case.

    Copyright lines, list marks, punctuation and white space differ, and by the matching
    guidelines of the SPDX licence list (annex B of SPDX 2.3) make no difference.
    """
    lines = (line.strip(_MARKS) for line in text.splitlines())
    kept = (_BULLET.sub("", line.lower()) for line in lines if not _NOTICE.match(line))
    return " ".join(_WORD.findall("\n".join(kept)))


def _either(tokens: list[str]) -> bool:
    """Judge a canonical expression: OR binds weaker than AND, AND weaker than WITH."""
    return any(_all_of(part) for part in _split(tokens, "OR"))


def _all_of(tokens: list[str]) -> bool:
    return all(_one(part) for part in _split(tokens, "AND"))


def _one(tokens: list[str]) -> bool:
    if tokens[0] == "(":
        return _either(tokens[1:-1])
    return tokens[0].removesuffix("+") in PERMISSIVE


def _split(tokens: list[str], operator: str) -> list[list[str]]:
    """Split at an operator that stands in no brackets."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token == operator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
