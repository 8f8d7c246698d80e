"""Where code comes from: source strings such as ``folder:PATH``, and who crawls them."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.errors import BadInput
from workbench.registry import Registry
from workbench.types import Crawler

CRAWLERS = Registry("source")
# ``needs`` is what stands behind the colon of a source string.
CRAWLERS.add(
    "stdlib",
    "workbench.corpus.stdlib:StandardLibrary",
    "the standard library of the running Python, without its tests",
)
CRAWLERS.add(
    "folder",
    "workbench.corpus.folder:Folder",
    "all text files of a folder",
    needs="PATH",
)
CRAWLERS.add(
    "git",
    "workbench.corpus.git:GitRepository",
    "one revision of a git repository, read from a bare clone",
    needs="URL@REV[#SUBDIR]",
)
CRAWLERS.add(
    "pypi",
    "workbench.corpus.pypi:SourceDistribution",
    "the source distribution of a package of the package index",
    needs="NAME[==VERSION]",
)
CRAWLERS.add(
    "hf",
    "workbench.corpus.datasets:DataSet",
    "a column of a data set: of the hub, or a JSONL, Parquet or CSV file",
    extra="data",
    needs="DATASET[/CONFIG]:SPLIT#FIELD",
)


class SourceCrawler(Crawler, Protocol):
    """A crawler that says where it reads, and counts what it leaves out.

    A factory in ``CRAWLERS`` takes the part of the source string behind the colon, and the caps
    that hold for what it downloads. Making one may resolve a revision; documents come by
    ``crawl``.
    """

    @property
    def source(self) -> str:
        """The source in full, as its documents carry it: paths absolute, revision left out."""

    @property
    def revision(self) -> str | None:
        """What pins the content, or None where nothing does."""

    @property
    def skipped(self) -> Counter[str]:
        """Entries left out so far, by reason; complete once ``crawl`` is exhausted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source string: which crawler, and what it is pointed at."""

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    def open(self, caps: Caps = DEFAULT_CAPS) -> SourceCrawler:
        """Return the crawler of this source, which reads no more than ``caps``.

        Raises:
            BadInput: there is nothing to crawl at that place.
        """
        crawler: SourceCrawler = CRAWLERS.load(self.kind)(self.argument, caps=caps)
        return crawler


def parse_source(text: str) -> Source:
    """Read a source string such as ``stdlib`` or ``folder:PATH``.

    Raises:
        BadInput: no source has that form; the message lists those that there are.
    """
    kind, colon, argument = text.strip().partition(":")
    if kind not in CRAWLERS:
        raise BadInput(f"No source is called '{text}'.", f"{_nearest(text, kind)} {_forms()}")
    needed = CRAWLERS.entry(kind).needs
    if needed and not argument.strip():
        raise BadInput(f"The source '{text}' lacks its {needed}.", f"Write {kind}:{needed}.")
    if colon and not needed:
        raise BadInput(f"The source '{kind}' takes nothing behind a colon.", f"Write {kind}.")
    return Source(kind, argument.strip())


def _nearest(text: str, kind: str) -> str:
    """Return a question that offers what was probably meant, or nothing."""
    if Path(text).expanduser().is_dir():
        return f"Did you mean folder:{text}?"
    near = difflib.get_close_matches(kind.lower(), [entry.name for entry in CRAWLERS], n=1)
    return f"Did you mean {_form(near[0])}?" if near else ""


def _forms() -> str:
    return f"Sources: {' | '.join(_form(entry.name) for entry in CRAWLERS)}."


def _form(kind: str) -> str:
    needed = CRAWLERS.entry(kind).needs
    return f"{kind}:{needed}" if needed else kind
