"""How sure a number is: intervals, paired tests, and how many problems it takes to tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Figure = Callable[[NDArray[np.float64]], float]

RESAMPLES = 10_000
"""Enough for the ends of a 95 % interval to be steady in the second digit of its width."""
LEVEL = 0.95
SIGNIFICANCE = 0.05
POWER = 0.8
"""The chance to see a difference that is there: what trials are planned for by custom."""

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
    return difference, *_ends(means, level), _shifted(means, difference)


def cluster_bootstrap(
    sums: ArrayLike,
    figure: Figure,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return a figure of sums over questions with its bootstrap interval: (value, low, high).

    ``sums`` is float[questions, s]: what the answers to one question add to the sums that
    ``figure`` reads, so BLEU's counts, or (right, judged) for a share over all samples. Questions
    are drawn with replacement and bring all their samples along, as the answers to one question
    hang together (the cluster bootstrap of Davison and Hinkley 1997, section 3.8). A resample
    whose figure is not finite is left out.

    Raises:
        ValueError: fewer than two questions, or a value that is not finite.
    """
    rows = _rows(sums)
    found = _figures(rows, figure, resamples, seed)
    return float(figure(rows.sum(axis=0))), *_ends(found, level)


def paired_cluster_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    figure: Figure,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """Compare the figures of two solvers on the same questions: (a - b, low, high, two-sided p).

    As ``paired_bootstrap``, with the sums and the figure of ``cluster_bootstrap``: both solvers
    are measured on the same resample of questions (Koehn, EMNLP 2004, for BLEU).

    Raises:
        ValueError: the two differ in shape, fewer than two questions, or a value is not finite.
    """
    left, right = _rows(a), _rows(b)
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} and {right.shape} values are no pairs")
    width = left.shape[1]

    def difference(total: NDArray[np.float64]) -> float:
        return figure(total[:width]) - figure(total[width:])

    both = np.hstack((left, right))
    value, found = difference(both.sum(axis=0)), _figures(both, difference, resamples, seed)
    return value, *_ends(found, level), _shifted(found, value)


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


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the score interval of a share: ``successes`` out of ``n``.

    Wilson, JASA 22, 1927, without continuity correction; recommended for small n by Brown, Cai
    and DasGupta, Statistical Science 16, 2001. Unlike the bootstrap's it has a width where all
    succeed or none does.

    Raises:
        ValueError: n is not positive, or there are more successes than that.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no share")
    z = _z((1 + level) / 2)
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    # At the ends the formula gives 0 and 1, which rounding misses.
    return 0.0 if successes == 0 else middle - half, 1.0 if successes == n else middle + half


def mcnemar(b: int, c: int, *, mid: bool = False) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    ``b`` problems were solved by the one solver alone, ``c`` by the other alone. Were the two
    equally good, each of them would be a coin thrown: p is twice the smaller tail of a binomial
    with probability 1/2, at most 1, and 1 where no pair differs. ``mid`` counts half of the
    outcome observed, which is less conservative (the mid-p test of Fagerland, Lydersen and Laake,
    BMC Medical Research Methodology 13:91, 2013).

    Raises:
        ValueError: a count is negative.
    """
    if b < 0 or c < 0:
        raise ValueError(f"{min(b, c)} pairs cannot be")
    n = b + c
    # Whole numbers up to the one division, so that no tail is rounded away.
    term = tail = 1
    for k in range(min(b, c)):
        term = term * (n - k) // (k + 1)
        tail += term
    doubled = 2 * tail - term if mid else 2 * tail
    return min(1.0, doubled / (1 << n))


def problems_needed(
    difference: float,
    *,
    discordance: float | None = None,
    sd: float | None = None,
    power: float = POWER,
    significance: float = SIGNIFICANCE,
) -> int:
    """Return how many paired problems show a true ``difference`` with a chance of ``power``.

    Of values 0 and 1, ``discordance`` is the share of problems that only one of the two solves:
    n = (z_a sqrt(D) + z_b sqrt(D - d^2))^2 / d^2 (Connor, Biometrics 43, 1987, p. 209). Of other
    values, ``sd`` is the standard deviation of the paired differences:
    n = ((z_a + z_b) sd / d)^2 + z_a^2 / 2 (Guenther, The American Statistician 35, 1981). Both
    stand for two-sided tests.

    Raises:
        ValueError: not exactly one of ``discordance`` and ``sd`` is given, the difference is 0,
            or larger than the discordance.
    """
    if difference == 0:
        raise ValueError("no number of problems shows a difference of 0")
    _check_one(discordance, sd)
    z_a, z_b = _z(1 - significance / 2), _z(power)
    if discordance is None:
        assert sd is not None
        pairs = ((z_a + z_b) * sd / difference) ** 2 + z_a**2 / 2
    else:
        pairs = _connor(abs(difference), discordance, z_a, z_b)
    return math.ceil(pairs)


def minimum_detectable(
    n: int,
    *,
    discordance: float | None = None,
    sd: float | None = None,
    power: float = POWER,
    significance: float = SIGNIFICANCE,
) -> float | None:
    """Return the least difference that ``n`` paired problems show with a chance of ``power``.

    The formulas of ``problems_needed`` turned round. None: nothing differs, or not even that all
    pairs which do differ in the same direction would be shown.

    Raises:
        ValueError: not exactly one of ``discordance`` and ``sd`` is given.
    """
    _check_one(discordance, sd)
    z_a, z_b = _z(1 - significance / 2), _z(power)
    if discordance is None:
        assert sd is not None
        left = n - z_a**2 / 2
        return (z_a + z_b) * sd / math.sqrt(left) if left > 0 and sd > 0 else None
    if discordance == 0 or _connor(discordance, discordance, z_a, z_b) > n:
        return None
    low, high = 0.0, discordance
    for _ in range(60):  # halved so often, the two are one number
        middle = (low + high) / 2
        if _connor(middle, discordance, z_a, z_b) > n:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True)
class Paired:
    """What two solvers' values of the same ``n`` problems say of their difference, a - b.

    ``low`` and ``high`` are the ends of its bootstrap interval at ``level`` and ``p_bootstrap``
    its p-value; ``p_mcnemar`` is exact, and None where the values are not all 0 or 1. Of the
    problems, ``only_a`` have a higher value for a and ``only_b`` for b; ``sd`` is the standard
    deviation of the differences.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_bootstrap: float
    p_mcnemar: float | None
    only_a: int
    only_b: int
    sd: float
    level: float

    @property
    def p_value(self) -> float:
        """The exact p where there is one, else that of the bootstrap."""
        return self.p_bootstrap if self.p_mcnemar is None else self.p_mcnemar

    @property
    def more_needed(self) -> int | None:
        """How many more problems would show this very difference, if it is the true one.

        With the chance ``POWER`` at the significance 1 - ``level``; at least 1, and None where no
        difference was seen. Of verdicts, so many that McNemar's exact test could find anything: it
        takes 6 pairs that differ at 5 %, were they all to one side.
        """
        if self.difference == 0:
            return None
        needed = problems_needed(self.difference, significance=1 - self.level, **self._noise())
        if self.p_mcnemar is not None:
            least = 1 - math.floor(math.log2(1 - self.level))
            needed = max(needed, math.ceil(least * self.n / (self.only_a + self.only_b)))
        return max(1, needed - self.n)

    @property
    def detectable(self) -> float | None:
        """The least true difference that so many problems show with the chance ``POWER``."""
        return minimum_detectable(self.n, significance=1 - self.level, **self._noise())

    def sentence(
        self,
        a: str = "A",
        b: str = "B",
        *,
        p_value: float | None = None,
        scale: float | None = None,
        unit: str | None = None,
        lower_is_better: bool = False,
    ) -> str:
        """Say in words which one is better, or what it would take to tell.

        ``p_value`` is one corrected for the number of comparisons, else the pair's own. Values
        are shown times ``scale`` and in ``unit``: by default values of 0 and 1 in points of 100.
        """
        binary = self.p_mcnemar is not None
        shown = _Shown(
            (100.0 if binary else 1.0) if scale is None else scale,
            ("points" if binary else "") if unit is None else unit,
        )
        p_value = self.p_value if p_value is None else p_value
        if p_value > 1 - self.level:
            seen = f"cannot tell {a} from {b}: {shown.number(self.difference):+} {shown.unit}"
            low, high, outlook = self.low, self.high, f"; {self._outlook(shown)}"
        else:
            first, second = (a, b) if (self.difference > 0) != lower_is_better else (b, a)
            seen = f"{first} beats {second} by {shown(abs(self.difference))}"
            turned = self.difference < 0
            low, high = (-self.high, -self.low) if turned else (self.low, self.high)
            outlook = ""
        return (
            f"{seen.rstrip()} ({100 * self.level:g} % interval {shown.number(low)} to"
            f" {shown.number(high)}, {p_words(p_value)}, {self.n:,} problems: {a} ahead in"
            f" {self.only_a:,}, {b} in {self.only_b:,}){outlook}"
        )

    def _outlook(self, shown: _Shown) -> str:
        """Say what it would take to tell, and what could have been told."""
        if self.p_value <= 1 - self.level:
            return "sure alone, and not among all that were compared"
        more, least = self.more_needed, self.detectable
        able = "" if least is None else f"{self.n:,} problems show one of {shown(least)}"
        if more is None:
            return able or "no problem tells them apart"
        needed = f"about {_about(more):,} more problems needed to show that difference"
        return f"{needed}, {able}" if able else needed

    def _noise(self) -> dict[str, float]:
        if self.p_mcnemar is None:
            return {"sd": self.sd}
        return {"discordance": (self.only_a + self.only_b) / self.n}


@dataclass(frozen=True, slots=True)
class _Shown:
    """How differences are written: in a unit, with as many digits as say something."""

    scale: float
    unit: str

    def __call__(self, value: float) -> str:
        return f"{self.number(value)} {self.unit}".rstrip()

    def number(self, value: float) -> float:
        number = value * self.scale
        size = abs(number)
        return round(number, 1 if size >= 10 else 2 if size >= 0.1 else 4)


def paired(
    a: ArrayLike,
    b: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Paired:
    """Compare two solvers by their values of the same problems, in the same order.

    Of several samples a problem, hand in their mean: problems are what is drawn.

    Raises:
        ValueError: the two differ in length, fewer than two values, or one that is not finite.
    """
    found = paired_bootstrap(a, b, resamples=resamples, level=level, seed=seed)
    left, right = _sample(a), _sample(b)
    only_a, only_b = int((left > right).sum()), int((left < right).sum())
    binary = bool(np.isin(left, (0, 1)).all() and np.isin(right, (0, 1)).all())
    return Paired(
        len(left),
        float(left.mean()),
        float(right.mean()),
        *found,
        mcnemar(only_a, only_b) if binary else None,
        only_a,
        only_b,
        float((left - right).std(ddof=1)),
        level,
    )


@dataclass(frozen=True, slots=True)
class Correlation:
    """How two values of the same problems hang together, from -1 to 1, with its interval.

    ``value`` is None where one of the two never changes or there are fewer than three problems;
    the ends are None where too few resamples had a correlation at all.
    """

    kind: str
    value: float | None
    low: float | None
    high: float | None
    n: int


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1_000,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[Correlation, ...]:
    """Correlate two values of the same problems: Spearman's rho and Kendall's tau-b.

    Where just one of the two is of 0 and 1 only, so a verdict beside a figure, the point-biserial
    correlation comes third (which is Pearson's). Intervals are percentiles over problems drawn
    with replacement; a resample in which one of the two never changes has no correlation and is
    left out. ``groups`` names the problem of each value, where several solvers answered it: what
    they gave hangs together, and is drawn together, as in ``cluster_bootstrap``.

    Raises:
        MissingExtra: scipy is not installed.
        ValueError: they differ in length, or a value is not finite.
    """
    left, right = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"{left.shape} and {right.shape} values are no pairs")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("a value is not finite")
    if groups is not None and len(groups) != len(left):
        raise ValueError(f"{len(groups)} groups and {len(left)} values do not match")
    kinds = {"Spearman": _spearman, "Kendall": _kendall}
    if len({bool(np.isin(values, (0, 1)).all()) for values in (left, right)}) == 2:
        kinds["point-biserial"] = _pearson
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return tuple(Correlation(kind, None, None, None, len(left)) for kind in kinds)
    drawn = [
        (left[rows], right[rows])
        for rows in _drawn(len(left), groups, resamples, seed)
        if np.ptp(left[rows]) > 0 and np.ptp(right[rows]) > 0
    ]
    return tuple(
        Correlation(kind, float(measure(left[None], right[None])[0]), *ends, len(left))
        for kind, measure in kinds.items()
        for ends in (_ends_or_none(_of_each(measure, drawn), resamples, level),)
    )


def _drawn(
    count: int, groups: Sequence[str] | None, resamples: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the places of each resample: all that belong to groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    if groups is None or len(set(groups)) == count:
        yield from generator.integers(count, size=(resamples, count))
        return
    _, of = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(of == group) for group in range(of.max() + 1)]
    for _ in range(resamples):
        chosen = generator.integers(len(members), size=len(members))
        yield np.concatenate([members[group] for group in chosen])


def _of_each(
    measure: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    drawn: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Return float64[len(drawn)]; pairs of the same length are measured in one go."""
    found = np.empty(len(drawn))
    by_length: dict[int, list[int]] = {}
    for place, (x, _) in enumerate(drawn):
        by_length.setdefault(len(x), []).append(place)
    for places in by_length.values():
        pairs = [drawn[place] for place in places]
        found[places] = measure(np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs]))
    return found


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


def _rows(sums: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(sums, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError("an interval needs the sums of at least two questions")
    if not np.isfinite(rows).all():
        raise ValueError("a value is not finite")
    return rows


def _figures(
    rows: NDArray[np.float64], figure: Figure, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return float64[resamples]: the figures of rows drawn with replacement, finite ones only."""
    generator, count = np.random.default_rng(seed), len(rows)
    at_once = max(1, _AT_ONCE // count)
    found: list[float] = []
    for start in range(0, resamples, at_once):
        parts = min(at_once, resamples - start)
        drawn = generator.integers(count, size=(parts, count))
        # How often each resample holds each row: sums by a product of matrices, as rows are wide.
        places = drawn + count * np.arange(parts)[:, None]
        times = np.bincount(places.ravel(), minlength=parts * count).reshape(parts, count)
        found.extend(figure(total) for total in times @ rows)
    figures = np.asarray(found, dtype=np.float64)
    finite: NDArray[np.float64] = figures[np.isfinite(figures)]
    return finite


def _shifted(found: NDArray[np.float64], value: float) -> float:
    """Return the share of resampled differences that lie as far from ``value`` as it does from 0.

    A tie up to rounding is a tie.
    """
    as_far = np.abs(found - value) >= abs(value) * (1 - 1e-12)
    return (1 + int(as_far.sum())) / (len(found) + 1)


def _ends_or_none(
    found: NDArray[np.float64], resamples: int, level: float
) -> tuple[float | None, float | None]:
    """Return the ends of an interval, none where half of the resamples or more said nothing."""
    return (None, None) if len(found) <= resamples / 2 else _ends(found, level)


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64[rows]: the correlation of each row of ``x`` with that of ``y``."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    found: NDArray[np.float64] = (x * y).sum(axis=1) / np.sqrt(
        (x * x).sum(axis=1) * (y * y).sum(axis=1)
    )
    return found.clip(-1, 1)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    rank = _scipy_stats().rankdata
    return _pearson(rank(x, axis=1), rank(y, axis=1))


def _kendall(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    tau = _scipy_stats().kendalltau
    # The cheap one of its p-values, which nobody reads.
    rows = zip(x, y, strict=True)
    return np.asarray([tau(*row, method="asymptotic").statistic for row in rows])


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise MissingExtra("Correlating metrics", "evaluate") from error
    return stats


def _check_one(discordance: float | None, sd: float | None) -> None:
    if (discordance is None) == (sd is None):
        raise ValueError("give the share of pairs that differ, or the sd of their differences")


def _connor(difference: float, discordance: float, z_a: float, z_b: float) -> float:
    """Return how many pairs of 0 and 1 a difference takes; both are between 0 and 1."""
    if not difference * (1 - 1e-9) <= discordance <= 1:
        raise ValueError(f"a difference of {difference} needs as many pairs that differ")
    alike = math.sqrt(max(0.0, discordance - difference**2))
    return ((z_a * math.sqrt(discordance) + z_b * alike) / difference) ** 2


def _about(count: int) -> int:
    """Round to two digits, which is all that an estimate of noise holds."""
    return count if count < 100 else int(float(f"{count:.1e}"))


def p_words(value: float) -> str:
    """Return a p-value in words, "p < 0.001" where it is smaller."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _ends(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
