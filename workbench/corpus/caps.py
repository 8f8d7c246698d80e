"""How much one crawl may read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a crawl reads: documents, bytes, seconds. What is beyond is left out.

    ``bytes`` caps both what is downloaded for one source and the text kept of all sources.
    """

    files: int = 200_000
    bytes: int = 2_000_000_000
    seconds: float = 3600.0


DEFAULT_CAPS = Caps()
