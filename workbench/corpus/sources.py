"""Where code comes from: source strings such as ``folder:PATH``, and who crawls them."""

from __future__ import annotations

import difflib
import platform
import re
from collections import Counter
from dataclasses import dataclass, field, replace
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
    needs="DATASET[/CONFIG][@REV]:SPLIT#FIELD",
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
    """A parsed source string: which crawler, and what it is pointed at.

    ``argument`` may hold a password; ``str()`` never does.
    """

    kind: str
    argument: str = field(default="", repr=False)

    def __str__(self) -> str:
        return redact(f"{self.kind}:{self.argument}") if self.argument else self.kind

    @property
    def pin(self) -> str | None:
        """The revision that the string itself pins, or None: what is pinned never changes."""
        if self.kind == "stdlib":
            return platform.python_version()
        pattern = _PINS.get(self.kind)
        found = pattern.search(self.argument) if pattern else None
        return found.group(1) if found else None

    def absolute(self) -> Source:
        """Return the source as it is named from anywhere: a path in it made absolute."""
        if self.kind == "folder":
            return replace(self, argument=Path(self.argument).expanduser().resolve().as_posix())
        if self.kind in _BORDERS:
            for border in _BORDERS[self.kind]:
                place, mark, rest = self.argument.rpartition(border)
                path = Path(place).expanduser()
                if place and path.exists():
                    return replace(self, argument=f"{path.resolve().as_posix()}{mark}{rest}")
        return self

    def open(self, caps: Caps = DEFAULT_CAPS) -> SourceCrawler:
        """Return the crawler of this source, which reads no more than ``caps``.

        Raises:
            BadInput: there is nothing to crawl at that place.
        """
        crawler: SourceCrawler = CRAWLERS.load(self.kind)(self.argument, caps=caps)
        return crawler


# Where a source string says which revision it means, if it says so beyond doubt.
_PINS = {
    "git": re.compile(r"@([0-9a-f]{40}|[0-9a-f]{64})(?:#.*)?$"),
    "pypi": re.compile(r"==\s*([^\s*=,;]+)$"),
    "hf": re.compile(r"@([0-9a-f]{40}):[^:]*$"),
}
# What may end the path of something local, the likelier mark first.
_BORDERS = {"git": ("@", "#"), "hf": ("#",)}

_SECRETS = (
    # Up to the last @ before the first slash: a password may hold an @ of its own. A mere name
    # stays with ssh, which cannot do without and takes no token for one.
    (re.compile(r"(?<!ssh)(://)[^/\s]*@"), r"\1"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s]*@"), r"\1"),
    # One with a slash in it: what stands behind the colon is no port.
    (re.compile(r"(://)[^/\s:@]+:(?!\d{1,5}(?:[/?#\s]|$))\S*@"), r"\1"),
    # NAME:PASSWORD@HOST:PATH, without any scheme.
    (re.compile(r"(?<![\w./@-])((?:git:)?)(?!git:)[\w.+%-]+:[^\s/@'\"]+@(?=[\w.-]+:)"), r"\1"),
    (
        re.compile(r"([?&;][^=&;#\s]*(?:token|key|secret|passw|auth)[^=&;#\s]*=)[^&;#\s]+", re.I),
        r"\1",
    ),
)


def redact(text: str) -> str:
    """Return ``text`` without the user names, passwords and tokens of the URLs in it.

    For all that is shown, logged or kept: sources as a user typed them, and errors that echo one.
    """
    for pattern, rest in _SECRETS:
        text = pattern.sub(rest, text)
    return text


def parse_source(text: str) -> Source:
    """Read a source string such as ``stdlib`` or ``folder:PATH``.

    Raises:
        BadInput: no source has that form; the message lists those that there are.
    """
    kind, colon, argument = text.strip().partition(":")
    if kind not in CRAWLERS:
        shown = redact(text)
        raise BadInput(f"No source is called '{shown}'.", f"{_nearest(text, kind)} {_forms()}")
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
