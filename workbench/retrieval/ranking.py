"""The best of many scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best(scores: NDArray[np.float32], among: NDArray[np.int64], k: int) -> list[tuple[int, float]]:
    """Return at most ``k`` (position, score), best first, equal scores by position.

    ``among`` are the positions to choose from, ascending; ``scores`` are theirs, in their order.
    """
    chosen = np.arange(len(scores))
    if len(scores) > k:
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero(scores >= least)
    order = chosen[np.argsort(-scores[chosen], kind="stable")][:k]
    return [(int(among[row]), float(scores[row])) for row in order]
