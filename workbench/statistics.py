"""How sure a number is: bootstrap intervals and paired tests over queries or problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
"""Enough for the ends of a 95 % interval to be steady in the second digit of its width."""
LEVEL = 0.95

# Resampled numbers held at once: 32 MB of indices, whatever the number of queries.
_AT_ONCE = 4_000_000


def bootstrap_mean(
    values: ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[float, float, float]:
    """Return the mean of ``values`` with the ends of its bootstrap interval: (mean, low, high).

    The percentile interval of Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13: queries are drawn with replacement, so the interval is about other queries of the
    same kind. Equal input and seed give equal output.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    sample = _sample(values)
    low, high = _ends(_means(sample, resamples, seed), level)
    return float(sample.mean()), low, high


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """Compare two scores of the same queries: (mean of a - b, low, high, two-sided p).

    The interval is that of ``bootstrap_mean`` over the differences. The p-value is the share of
    resampled means which, shifted so that their mean is zero, are at least as far from zero as
    the difference observed (the bootstrap-shift test of Smucker, Allan and Carterette, CIKM 2007;
    for retrieval first by Sakai, SIGIR 2006). The observed difference counts as one of the
    resamples, so that p is never zero (Davison and Hinkley 1997, section 4.2).

    Raises:
        ValueError: the two differ in length, fewer than two values, or one that is not finite.
    """
    left, right = _sample(a), _sample(b)
    if left.shape != right.shape:
        raise ValueError(f"{len(left)} and {len(right)} values are no pairs")
    differences = left - right
    difference = float(differences.mean())
    means = _means(differences, resamples, seed)
    low, high = _ends(means, level)
    # A tie up to rounding is a tie.
    as_far = np.abs(means - difference) >= abs(difference) * (1 - 1e-12)
    p_value = (1 + int(as_far.sum())) / (resamples + 1)
    return difference, low, high, p_value


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, in their own order: Holm, Scand. J. Statist. 6, 1979.

    The chance that any true null hypothesis among them falls below a threshold is at most that
    threshold, whatever their dependence.
    """
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = least
    return corrected


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < 2:
        raise ValueError("an interval needs a row of at least two values")
    if not np.isfinite(sample).all():
        raise ValueError("a value is not finite")
    return sample


def _means(sample: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return float64[resamples]: means of samples drawn with replacement."""
    return np.concatenate(list(_in_parts(sample, resamples, np.random.default_rng(seed))))


def _in_parts(
    sample: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    rows = max(1, _AT_ONCE // len(sample))
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), len(sample))
        yield sample[generator.integers(len(sample), size=shape)].mean(axis=1)


def _ends(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
