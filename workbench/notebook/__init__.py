"""The notebook face: columns that fill while you watch."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import IPython.display

if TYPE_CHECKING:
    from collections.abc import Generator

    from workbench.comparison import Comparison

# Each redraw sends the whole HTML to the browser; a few times a second is what eyes need.
_REDRAWS_A_SECOND = 5


def live(comparisons: Generator[Comparison]) -> Comparison:
    """Show the columns while they fill and return the finished comparison.

    Pass it on: ``wb.ask(..., show=live)``. Interrupting the kernel stops the models; what came is
    shown and stored.
    """
    display: Any = IPython.display.display  # untyped
    handle: Any = None
    comparison: Comparison | None = None
    drawn = 0.0
    with closing(comparisons):
        for comparison in comparisons:
            if handle is None:
                handle = display(comparison, display_id=True)
            elif time.monotonic() - drawn > 1 / _REDRAWS_A_SECOND or comparison.finished:
                handle.update(comparison)
                drawn = time.monotonic()
    assert comparison is not None, "a stream yields at least once"
    return comparison
