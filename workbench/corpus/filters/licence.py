"""Say under which licence a file stands, and keep only some of them where asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.corpus.entries import Skip
from workbench.corpus.filters.rule import Filter
from workbench.corpus.licences import canonical_licence, header_licence, is_permissive
from workbench.errors import BadInput
from workbench.types import Document

LICENCE = "licence"
"""Under none of the licences that were asked for, or under an unknown one."""
READ = "licence read from header"

PERMISSIVE = "permissive"


@dataclass(kw_only=True)
class Licence(Filter):
    """Fills ``license`` from a file's own SPDX header, which overrules that of its source.

    ``allow`` is "permissive", a list of SPDX expressions, or None for all, unknown ones included.

    Raises:
        BadInput: ``allow`` is neither, or not valid.
    """

    allow: Sequence[str] | str | None = None

    def __post_init__(self) -> None:
        if self.allow is None or self.allow == PERMISSIVE:
            return
        named = self.allow if isinstance(self.allow, (list, tuple)) else [str(self.allow)]
        wrong = [name for name in named if canonical_licence(str(name)) is None]
        if isinstance(self.allow, str) or wrong or not named:
            raise BadInput(
                f"The filter licence cannot allow {', '.join(map(repr, wrong)) or self.allow!r}.",
                'Give "permissive", or a list of SPDX identifiers such as ["MIT", "Apache-2.0"].',
            )
        self.allow = [str(canonical_licence(name)) for name in named]

    def check(self, document: Document) -> Document:
        """Return the document with its licence, or skip it for its "licence"."""
        own = header_licence(document.text)
        if own is not None and own != document.license:
            document = replace(document, license=own)
            self.noted[READ] += 1
        if not self._allows(document.license):
            raise Skip(LICENCE)
        return document

    def _allows(self, licence: str | None) -> bool:
        if self.allow is None:
            return True
        if self.allow == PERMISSIVE:
            return is_permissive(licence)
        return licence in self.allow
