"""What the rooms of cost hand on: break-evens, the costs of solvers, measured speeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from workbench.cost.assumptions import TITLES, Api, OwnGpu, Tokens

Verdict = Literal["always", "never", "from", "staircase"]
CrossoverName = Literal["first", "for_good", "ratio"]

ROUNDING = 1e-9
"""So that 2 * 4.05 / 0.025 is 324 and a full GPU is full, whatever the rounding of floats."""


# --- an API against own GPUs -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crossover:
    """Loads, in requests an hour, from which own GPUs pay: at first, and for good. None: never.

    ``ratio`` is what a request costs on a full GPU, in times of what it costs on the API: own GPUs
    pay where it is at most 1. None where nothing limits what a GPU serves, or the API is free.
    """

    first: float | None
    for_good: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """The ends of an interval; None is "never" (a load that does not exist)."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What moving one assumption to ``low`` and to ``high`` does, all others being equal."""

    name: str
    low: float
    high: float
    at_low: Crossover
    at_high: Crossover

    @property
    def title(self) -> str:
        """Name the assumption in words."""
        return TITLES[self.name]


@dataclass(frozen=True, slots=True)
class Reckoning:
    """An API against own GPUs. Loads are requests an hour, costs are USD an hour.

    ``capacity`` is what one GPU serves an hour at its utilisation, None where nothing limits it.
    The intervals are None where nothing is known to be uncertain: 95 % by bootstrap over the
    requests of a run and the repeats of a measurement, widest over the ends of typed ranges.
    ``never_share`` is the share of the resamples in which own GPUs never pay. ``sources`` say
    where the numbers come from, a sentence each.
    """

    api: Api
    gpu: OwnGpu
    tokens: Tokens | None = field(repr=False)
    load: float | None
    assumptions: Mapping[str, float]
    usd_per_request: float
    capacity: float | None
    crossover: Crossover
    first_interval: Span | None
    for_good_interval: Span | None
    capacity_interval: Span | None
    never_share: float | None
    sensitivities: tuple[Sensitivity, ...] = field(repr=False)
    sources: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether own GPUs pay always, never, from a load on, or on stretches first."""
        if self.crossover.first is None:
            return "never"
        if self.crossover.for_good == 0:
            return "always"
        return "from" if self.crossover.first == self.crossover.for_good else "staircase"

    @property
    def needed(self) -> float | None:
        """Requests an hour that pay for one GPU: it must serve as many. None: no number does."""
        if self.usd_per_request == 0:
            return None if self.gpu.usd_per_hour else 0.0
        return finite(self.gpu.usd_per_hour / self.usd_per_request)

    def gpus_at(self, load: float) -> int:
        """Return how many GPUs a load takes."""
        return int(gpus_for(load, self.gpu.gpus, self.capacity))

    def api_cost(self, load: float) -> float:
        """Return what the API costs an hour at a load."""
        return self.usd_per_request * load

    def gpu_cost(self, load: float) -> float:
        """Return what the own GPUs cost an hour at a load."""
        return self.gpu.usd_per_hour * self.gpus_at(load)

    def stretches(self, most: int = 5) -> list[tuple[float, float | None]]:
        """Return the first loads, from and to, at which own GPUs pay; None: without end."""
        q, first, last = self.needed, self.crossover.first, self.crossover.for_good
        if q is None or first is None:
            return []
        found: list[tuple[float, float | None]] = []
        gpus = self.gpu.gpus
        while len(found) < most:
            start = gpus * q
            if self.capacity is None or (last is not None and start >= last - ROUNDING):
                return [*found, (start, None)]
            found.append((start, gpus * self.capacity))
            gpus += 1
        return found


def gpus_for(load: Any, least: int, capacity: float | None) -> Any:
    """Return the GPUs that a load, or each of an array of loads, takes."""
    if capacity is None:
        return np.full_like(np.asarray(load, dtype=float), least)
    return np.maximum(least, np.ceil(np.asarray(load) / capacity - ROUNDING))


def finite(value: Any) -> float | None:
    """Return a number without the dust of floats (324, not 323.99999999999994); None: infinite."""
    return float(f"{value:.12g}") if math.isfinite(value) else None


# --- what a run cost -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean in USD with the ends of its 95 % bootstrap interval.

    Both ends are None where there is one value only; ``high`` alone is None where the interval
    has no upper end, as some resamples hold no solved problem.
    """

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class SolverCost:
    """What one solver's answers cost, in USD; None is unknown, never 0.

    ``errors`` are results without an answer, ``partial`` those of them of which a part had come.
    ``calls`` are all calls that are known of, those of partial answers included; a call that
    failed before its first token left no trace of tokens or cost. Tokens are those of the calls
    that were counted, ``uncounted`` the number of the others. ``usd`` was paid in this run,
    ``cached_usd`` when the answers taken from the cache were made. ``known_usd`` is that part of
    ``usd`` whose price is known, ``unpriced`` the calls without a price, ``priced_today`` those
    whose price was looked up now, as none was written down then. ``machine_usd`` is what the
    machine of a local model cost meanwhile, None where no price an hour was named.

    ``per_answer`` is the mean over answers, cached ones at what they had cost, the machine
    included; ``per_solved`` the cost of what was judged by the problems of which an answer was
    right. ``solved`` is None where no answer was judged, ``unjudged`` are the answers that were
    not: their cost and their problems count in neither.
    """

    solver: str
    answers: int
    errors: int
    partial: int
    calls: int
    cached: int
    input_tokens: int | None
    output_tokens: int | None
    uncounted: int
    seconds: float
    local: bool
    usd: float | None
    known_usd: float
    cached_usd: float | None
    unpriced: int
    priced_today: int
    machine_usd: float | None
    per_answer: Mean | None
    solved: int | None
    unjudged: int
    per_solved: Mean | None


# --- how fast a backend is -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Repeat:
    """One pass over all requests. Rates count complete answers only; None: tokens not counted."""

    requests: int
    errors: int
    seconds: float
    requests_per_second: float
    tokens_per_second: float | None
    input_tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured with so many requests at a time, over all repeats.

    ``requests`` were answered, ``errors`` were not and count in nothing else. Times are seconds
    of one request; None where no request was answered, or the backend does not stream.
    ``reading_share`` is the share of the time that went into tokens in, see ``break_even``; None
    where the requests do not tell.
    """

    concurrency: int
    requests: int
    errors: int
    seconds: float
    requests_per_second: float
    tokens_per_second: float | None
    input_tokens_per_second: float | None
    latency_p50: float | None
    latency_p95: float | None
    first_token_p50: float | None
    reading_share: float | None
    repeats: tuple[Repeat, ...]
