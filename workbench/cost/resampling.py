"""The bootstrap of ``workbench.statistics``, for numbers that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.statistics import LEVEL, RESAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Resampled numbers held at once: 32 MB of indices, however many there are.
_AT_ONCE = 4_000_000


def resampled_means(columns: Sequence[Sequence[float]], random: np.random.Generator) -> Numbers:
    """Return float64[len(columns), RESAMPLES]: means of rows drawn with replacement.

    The columns are equally long; what stands in one row (tokens in and out of a request, the cost
    of a problem and whether it was solved) is drawn together.
    """
    values = np.array(columns, dtype=float)
    count = values.shape[1]
    size = max(1, _AT_ONCE // count)
    parts = []
    for start in range(0, RESAMPLES, size):
        picked = random.integers(count, size=(min(size, RESAMPLES - start), count))
        parts.append(np.stack([column[picked].mean(axis=1) for column in values]))
    return np.concatenate(parts, axis=1)


def interval(values: Numbers) -> tuple[float, float]:
    """Return the ends of the percentile interval; either may be infinite.

    They are values that were drawn: between a number and infinity there is none.
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)
