"""Find a function by its name, whichever case its language writes names in."""

from __future__ import annotations

from collections.abc import Iterable


def best_name(wanted: str, names: Iterable[str]) -> str | None:
    """Return the name that is meant by ``wanted``: itself, or else the same words in another case.

    ``two_sum``, ``twoSum`` and ``TwoSum`` are the same words. None where there is none.
    """
    known = list(names)
    if wanted in known:
        return wanted
    return next((name for name in known if _words(name) == _words(wanted)), None)


def _words(name: str) -> str:
    return name.replace("_", "").lower()
