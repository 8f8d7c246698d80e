"""From how many requests an hour on own GPUs cost no more than an API.

The formulas, for a load of x requests an hour:

    c    = usd_per_request, or (input_price * i + output_price * o) / 1,000,000
    K    = utilisation * requests_per_hour_per_gpu,
           or utilisation * 3,600 / (s * i / r_in + (1 - s) * o / r_out)
    n(x) = max(gpus, ceil(x / K))           GPUs are whole: a staircase
    API(x) = c * x        own(x) = p * n(x)

where i and o are the mean tokens in and out of a request, p the price of a GPU and hour, r_in and
r_out the tokens a second that were measured, and s the share of that time spent reading. With
q = p / c, the requests an hour that pay for one GPU:

    own GPUs never pay           where q > K: even a full GPU is dearer than the API
    they first pay from          gpus * q
    they pay for good from       N * q, N = max(gpus, ceil(q / (K - q)))

Between the first and the last, each GPU that is added costs more than the API until it is filled:
n GPUs pay for loads from n * q to n * K.

On r_in and r_out: let a token in take a seconds and a token out b, so that a * r_in + b * r_out = 1
for what was measured. With s = a * r_in, a request of i and o takes a * i + b * o seconds, which is
the formula above. It lies between i / r_in and o / r_out, whatever s is; where s is not known, the
slower of the two is taken. For requests of the measured mix of tokens all three are the same.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.cost.assumptions import (
    SHARES,
    Api,
    OwnGpu,
    Ranges,
    Tokens,
    assumed,
    check_ranges,
    check_together,
)
from workbench.cost.records import ROUNDING, Crossover, Reckoning, Sensitivity, Span, finite
from workbench.cost.resampling import interval, resampled_means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SWING = 0.2
"""How far each assumption is moved, one at a time, where no range of its own was given."""

_SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class BreakEven(Reckoning):
    """A reckoning that says, draws and writes itself."""

    @property
    def sentence(self) -> str:
        """Say the result in words."""
        from workbench.cost.words import sentence

        return sentence(self)

    def table(self) -> dict[str, Any]:
        """Return everything but the single requests, for JSON."""
        return {
            "sentence": self.sentence,
            "verdict": self.verdict,
            "assumptions": dict(self.assumptions),
            "usd_per_request": self.usd_per_request,
            "capacity": self.capacity,
            "needed": self.needed,
            "crossover": asdict(self.crossover),
            "first_interval": self.first_interval and asdict(self.first_interval),
            "for_good_interval": self.for_good_interval and asdict(self.for_good_interval),
            "capacity_interval": self.capacity_interval and asdict(self.capacity_interval),
            "never_share": self.never_share,
            "stretches": self.stretches(),
            "at_load": None
            if self.load is None
            else {
                "load": self.load,
                "gpus": self.gpus_at(self.load),
                "api_usd_per_hour": self.api_cost(self.load),
                "gpu_usd_per_hour": self.gpu_cost(self.load),
            },
            "sensitivities": [asdict(one) for one in self.sensitivities],
            "sources": list(self.sources),
        }

    def to_json(self) -> str:
        """Write everything but the single requests as JSON."""
        return json.dumps(self.table(), indent=2)

    def figure(self) -> go.Figure:
        """Draw the cost an hour of both over the load."""
        from workbench.cost.figures import cost_over_load

        return cost_over_load(self)

    def tornado(self) -> go.Figure:
        """Draw how far each assumption moves the crossover."""
        from workbench.cost.figures import tornado

        return tornado(self)

    def to_html(self, path: Path | str | None = None) -> str:
        """Write a page that needs nothing else, and to ``path`` if one is given.

        Raises:
            MissingExtra: plotly is not installed.
        """
        from workbench.cost.figures import page

        text: str = page(
            "Break-even of an API and own GPUs", self._repr_html_(), self.figure(), self.tornado()
        )
        if path is not None:
            from pathlib import Path as FilePath

            FilePath(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from workbench.cost.words import break_even_html

        return break_even_html(self)


def break_even(
    api: Api,
    gpu: OwnGpu,
    *,
    tokens: Tokens | None = None,
    load: float | None = None,
    ranges: Ranges | None = None,
    sources: Sequence[str] = (),
    seed: int = 0,
) -> BreakEven:
    """Set an API against own GPUs; the formulas stand at the head of this module.

    ``tokens`` are those of the requests, which go to either. ``load`` is a load to look at.
    ``ranges`` are low and high ends of assumptions, by the names of ``TITLES``; ``sources`` say
    where the numbers come from. Equal input and seed give equal output. "Never pays" and "always
    pays" are answers, no errors.

    Raises:
        BadInput: an assumption is missing or out of its range.
    """
    check_together(api, gpu, tokens, load)
    values, ranges = assumed(api, gpu, tokens), ranges or {}
    check_ranges(ranges, values)
    drawn = _draws(gpu, tokens, values, np.random.default_rng(seed))
    crossed = _solve(values, gpu)
    corners = [_solve({**values, **drawn, **corner}, gpu) for corner in _corners(ranges)]
    uncertain = bool(drawn or ranges)
    return BreakEven(
        api=api,
        gpu=gpu,
        tokens=tokens,
        load=load,
        assumptions=values,
        usd_per_request=float(crossed.usd_per_request),
        capacity=finite(crossed.capacity),
        crossover=crossed.crossover(),
        first_interval=_span([one.first for one in corners]) if uncertain else None,
        for_good_interval=_span([one.for_good for one in corners]) if uncertain else None,
        capacity_interval=(
            _span([one.capacity for one in corners]) if uncertain and gpu.is_limited else None
        ),
        never_share=_never(_solve({**values, **drawn}, gpu)) if drawn else None,
        sensitivities=_sensitivities(values, ranges, gpu),
        sources=tuple(sources),
    )


@dataclass(frozen=True, slots=True)
class _Solved:
    """What the formulas give: numbers, or one number a resample; infinity is never.

    ``ratio`` is q / K: what a request costs on a full GPU, in times of what it costs on the API.
    """

    usd_per_request: Numbers
    capacity: Numbers
    first: Numbers
    for_good: Numbers
    ratio: Numbers

    def crossover(self) -> Crossover:
        return Crossover(finite(self.first), finite(self.for_good), finite(self.ratio))


def _solve(values: Mapping[str, Any], gpu: OwnGpu) -> _Solved:
    """Apply the formulas at the head of this module."""
    price, capacity = _price(values), _capacity(values, gpu)
    hourly, least = np.asarray(values["usd_per_hour"], dtype=float), values["gpus"]
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(hourly == 0, 0.0, hourly / price)
        pays = q <= capacity * (1 + ROUNDING)
        pays &= np.isfinite(q)
        full = np.maximum(least, np.ceil(q / (capacity - q) - ROUNDING))
        # A GPU that pays only when it is exactly full does so at no load for good.
        lasting = pays & (q < capacity * (1 - ROUNDING))
        first = np.where(pays, least * q, np.inf)
        for_good = np.where(lasting, full * q, np.inf)
        ratio = np.where(np.isfinite(capacity), q / capacity, np.inf)
    return _Solved(price, capacity, first, for_good, ratio)


def _price(values: Mapping[str, Any]) -> Numbers:
    if "usd_per_request" in values:
        return np.asarray(values["usd_per_request"], dtype=float)
    cost = values["input_price"] * values["input_tokens"]
    cost = cost + values["output_price"] * values["output_tokens"]
    return np.asarray(cost / 1e6, dtype=float)


def _capacity(values: Mapping[str, Any], gpu: OwnGpu) -> Numbers:
    if not gpu.is_limited:
        return np.asarray(np.inf)
    if gpu.requests_per_hour_per_gpu:
        served = values["requests_per_hour_per_gpu"]
    else:
        with np.errstate(divide="ignore"):
            served = values["throughput"] * _SECONDS_AN_HOUR / _seconds(values, gpu)
    return np.asarray(values["utilisation"] * served, dtype=float)


def _seconds(values: Mapping[str, Any], gpu: OwnGpu) -> Numbers:
    """Return the seconds of a GPU that a request takes."""
    ways = [
        np.asarray(values[f"{way}_tokens"] / values.get(f"{way}_rate", np.mean(rates)))
        for way, rates in (
            ("input", gpu.input_tokens_per_second),
            ("output", gpu.output_tokens_per_second),
        )
        if rates
    ]
    if "reading_share" in values:
        share = values["reading_share"]
        return np.asarray(share * ways[0] + (1 - share) * ways[1])
    return np.asarray(np.maximum(*ways)) if len(ways) == 2 else ways[0]


def _draws(
    gpu: OwnGpu, tokens: Tokens | None, values: Mapping[str, float], random: np.random.Generator
) -> dict[str, Numbers]:
    """Return resampled means, float64[RESAMPLES], of what was counted or measured repeatedly.

    The percentile bootstrap of ``workbench.statistics``; tokens in and out of one request are
    drawn together, as are the speeds of one repeat.
    """
    drawn: dict[str, Numbers] = {}
    if tokens is not None and "input_tokens" in values:
        drawn |= _resampled({"input_tokens": tokens.input, "output_tokens": tokens.output}, random)
    drawn |= _resampled({"requests_per_hour_per_gpu": gpu.requests_per_hour_per_gpu}, random)
    return drawn | _resampled(
        {"input_rate": gpu.input_tokens_per_second, "output_rate": gpu.output_tokens_per_second},
        random,
    )


def _resampled(
    columns: Mapping[str, Sequence[float]], random: np.random.Generator
) -> dict[str, Numbers]:
    measured = {name: values for name, values in columns.items() if len(values) > 1}
    if not measured:
        return {}
    means = resampled_means(list(measured.values()), random)
    return dict(zip(measured, means, strict=True))


def _corners(ranges: Ranges) -> list[dict[str, float]]:
    """Return every combination of the ends of the ranges; one empty one where there are none."""
    ends = itertools.product(*(((name, low), (name, high)) for name, (low, high) in ranges.items()))
    return [dict(corner) for corner in ends]


def _span(corners: Sequence[Numbers]) -> Span:
    ends = [interval(one) for one in corners]
    return Span(finite(min(low for low, _ in ends)), finite(max(high for _, high in ends)))


def _never(solved: _Solved) -> float:
    return float(np.mean(np.isinf(solved.first)))


def _sensitivities(
    values: Mapping[str, float], ranges: Ranges, gpu: OwnGpu
) -> tuple[Sensitivity, ...]:
    """Move one assumption at a time; those that move the crossover most come first."""
    found = []
    for name, value in values.items():
        low, high = ranges.get(name) or _swing(name, value)
        ends = [_solve({**values, name: end}, gpu).crossover() for end in (low, high)]
        found.append(Sensitivity(name, low, high, ends[0], ends[1]))
    return tuple(sorted(found, key=_reach, reverse=True))


def _swing(name: str, value: float) -> tuple[float, float]:
    if name == "gpus":  # they are whole
        return max(1.0, value - 1), value + 1
    high = value * (1 + SWING)
    return value * (1 - SWING), min(1.0, high) if name in SHARES else high


def _reach(one: Sensitivity) -> tuple[float, float, float]:
    """Return how far an assumption moves the load for good, the first, and the ratio."""
    reaches = []
    for name in ("for_good", "first", "ratio"):
        ends = [getattr(crossover, name) for crossover in (one.at_low, one.at_high)]
        if ends[0] == ends[1]:
            reaches.append(0.0)
        elif None in ends:
            reaches.append(math.inf)
        else:
            reaches.append(abs(ends[0] - ends[1]))
    return reaches[0], reaches[1], reaches[2]
