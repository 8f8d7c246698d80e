"""How much one crawl may read."""

from __future__ import annotations

from dataclasses import dataclass

BEYOND = "beyond the cap of "
"""How the reasons begin under which a crawl counts what its caps left out."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a crawl reads: documents, bytes, seconds. What is beyond is left out.

    ``bytes`` caps both what is downloaded for one source and the text kept of all sources.
    """

    files: int = 200_000
    bytes: int = 2_000_000_000
    seconds: float = 3600.0

    @property
    def beyond_seconds(self) -> str:
        """The reason under which is counted what came too late."""
        return f"{BEYOND}{self.seconds:,g} seconds"


DEFAULT_CAPS = Caps()


class Budget:
    """What is left of the files and bytes of ``caps``, and the reason once nothing is."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._files = 0
        self._bytes = 0
        self.spent: str | None = None

    def take(self, size: int) -> bool:
        """Take one file of so many bytes; False once the first one did not fit."""
        if self.spent is None:
            if self._files + 1 > self._caps.files:
                self.spent = f"{BEYOND}{self._caps.files:,} files"
            elif self._bytes + size > self._caps.bytes:
                self.spent = f"{BEYOND}{self._caps.bytes:,} bytes"
            else:
                self._files += 1
                self._bytes += size
        return self.spent is None
