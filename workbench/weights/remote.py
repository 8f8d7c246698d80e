"""What the sources say to each other. Imports nothing, so that looking at the disk stays quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Advance = Callable[[int], object]
"""Hears how many bytes were handled since the last call."""


class Unavailable(Exception):
    """A source does not have the file, or cannot be reached; another source may be tried."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to be downloaded: ``hashes`` (algorithm, hex digest) are what its server promises."""

    url: str
    name: str
    hashes: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Local:
    """An archive that lies on this machine's disk already, with the hashes promised for it."""

    path: Path
    hashes: tuple[tuple[str, str], ...] = ()
