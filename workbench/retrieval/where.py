"""Which chunks may be found: by language, licence and path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

# What is asked for where a chunk has no language, or no licence that anybody knows.
NO_LANGUAGE = "other"
NO_LICENSE = "unknown"

_OR = re.compile(r"\s+OR\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Where:
    """A filter: a chunk passes where each field that is not empty names what it has.

    ``languages`` are names of ``workbench.languages``, or "other" for none. ``licenses`` are SPDX
    expressions without regard to case, or "unknown" for none; of a choice such as "MIT OR
    Apache-2.0" one part is enough. ``paths`` are patterns as ``fnmatch`` reads them, whose ``*``
    crosses slashes: ``json/*`` is all below json.
    """

    languages: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether anything is asked for at all."""
        return bool(self.languages or self.licenses or self.paths)

    def allows(self, language: str | None, license: str | None, path: str) -> bool:
        """Say whether a chunk with these three passes."""
        return (
            (not self.languages or (language or NO_LANGUAGE).lower() in lower(self.languages))
            and (not self.licenses or not choices(license).isdisjoint(lower(self.licenses)))
            and (not self.paths or any(fnmatchcase(path, pattern) for pattern in self.paths))
        )


def choices(license: str | None) -> set[str]:
    """Return a licence expression and the parts that one may choose from, in lower case."""
    if not license:
        return {NO_LICENSE}
    # An expression with brackets or AND stands for itself only: its parts are not a choice.
    simple = "(" not in license and " and " not in license.lower()
    return lower([license, *(_OR.split(license) if simple else ())])


def lower(names: Iterable[str]) -> set[str]:
    """Return names in lower case."""
    return {name.lower() for name in names}
