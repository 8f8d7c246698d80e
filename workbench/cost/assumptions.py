"""What a break-even is reckoned from: prices, tokens, speed; typed or counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.errors import BadInput, UnknownName

Ranges = Mapping[str, tuple[float, float]]

TITLES: dict[str, str] = {
    "usd_per_request": "USD a request on the API",
    "input_price": "USD a million tokens in",
    "output_price": "USD a million tokens out",
    "input_tokens": "tokens in a request",
    "output_tokens": "tokens out a request",
    "usd_per_hour": "USD a GPU and hour",
    "gpus": "GPUs at least",
    "requests_per_hour_per_gpu": "requests a GPU and hour",
    "throughput": "measured throughput, times",
    "reading_share": "share of time spent reading",
    "utilisation": "utilisation",
}
"""The assumptions by name, in words; what is not known of a case is not among its assumptions."""
SHARES = ("utilisation", "reading_share")
"""The assumptions that are at most 1."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens in and out of each request of a real run, or of one that was typed.

    Raises:
        BadInput: there is no request, one side is missing, or a count is no number above zero.
    """

    input: tuple[float, ...]
    output: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.input or len(self.input) != len(self.output):
            raise BadInput(
                f"{len(self.input)} counts of tokens in, {len(self.output)} out: no requests.",
                "Give both for each request.",
            )
        _check_all("Tokens in", self.input)
        _check_all("Tokens out", self.output)
        if not sum(self.input) + sum(self.output):
            raise BadInput("The requests have no tokens.", "Give tokens in or out above zero.")

    @classmethod
    def typed(cls, input_tokens: float, output_tokens: float) -> Tokens:
        """Return requests that all have these tokens."""
        return cls((input_tokens,), (output_tokens,))


@dataclass(frozen=True, slots=True)
class Api:
    """What a hosted model charges: USD a request, or USD a million tokens in and out.

    Raises:
        BadInput: neither or both are given, or a price is below zero or no number.
    """

    usd_per_request: float | None = None
    input_price: float | None = None
    output_price: float | None = None

    def __post_init__(self) -> None:
        prices = (self.input_price, self.output_price)
        by_request, by_token = self.usd_per_request is not None, None not in prices
        if by_request == by_token or (by_request and prices != (None, None)):
            raise BadInput(
                "An API has a price a request, or a price a million tokens in and out.",
                "Give one of the two.",
            )
        for title, price in (("The price of a request", self.usd_per_request), *_pairs(prices)):
            if price is not None:
                _check(title, price)

    @property
    def needs_tokens(self) -> bool:
        """Whether the price of a request depends on its tokens."""
        return self.usd_per_request is None


@dataclass(frozen=True, slots=True)
class OwnGpu:
    """What own GPUs cost and serve.

    ``usd_per_hour`` is the price of one, ``gpus`` how many are paid for at the least. A model that
    is spread over several GPUs counts as one, at the price of all of them.

    ``requests_per_hour_per_gpu`` is one number that was typed, or one a repeat of a measurement;
    where it is empty, ``output_tokens_per_second`` and ``input_tokens_per_second`` (one a repeat)
    say how fast a GPU is, and ``reading_share`` which part of that time went into tokens in. Where
    all three are empty, nothing limits what the GPUs serve, which is
    what a comparison on paper takes for granted. ``utilisation`` is the share of that speed that
    traffic really uses: requests come unevenly, and idle hours are paid for, too.

    Raises:
        BadInput: a number is out of its range, or the GPUs are not whole.
    """

    usd_per_hour: float
    gpus: int = 1
    requests_per_hour_per_gpu: tuple[float, ...] = ()
    output_tokens_per_second: tuple[float, ...] = ()
    input_tokens_per_second: tuple[float, ...] = ()
    reading_share: float | None = None
    utilisation: float = 1.0

    def __post_init__(self) -> None:
        _check("The price of a GPU and hour", self.usd_per_hour)
        if self.gpus != int(self.gpus) or self.gpus < 1:
            raise BadInput(f"{self.gpus:g} GPUs cannot be rented.", "Give a whole number from 1.")
        if not 0 < self.utilisation <= 1:
            raise BadInput(
                f"A utilisation of {self.utilisation:g} cannot be.", "Give a share: 0.6 is 60 %."
            )
        if self.reading_share is not None and not 0 <= self.reading_share <= 1:
            raise BadInput(
                f"A share of {self.reading_share:g} spent reading cannot be.", "Give 0 to 1."
            )
        for title, values in (
            ("Requests a GPU and hour", self.requests_per_hour_per_gpu),
            ("Tokens out a second", self.output_tokens_per_second),
            ("Tokens in a second", self.input_tokens_per_second),
        ):
            _check_all(title, values, above=True)
        if self.requests_per_hour_per_gpu and self.needs_tokens:
            raise BadInput(
                "A GPU's speed is given twice: in requests an hour and in tokens a second.",
                "Give one of the two.",
            )
        if len({len(self.output_tokens_per_second), len(self.input_tokens_per_second), 0}) > 2:
            raise BadInput(
                "Tokens in and out a second were not measured equally often.",
                "Give one of each for each repeat.",
            )

    @property
    def needs_tokens(self) -> bool:
        """Whether the requests that a GPU serves depend on their tokens."""
        return bool(self.output_tokens_per_second or self.input_tokens_per_second)

    @property
    def knows_share(self) -> bool:
        """Whether it is known how much longer a token out takes than a token in."""
        measured = self.output_tokens_per_second and self.input_tokens_per_second
        return bool(measured) and self.reading_share is not None

    @property
    def is_limited(self) -> bool:
        """Whether it is known how much a GPU serves."""
        return self.needs_tokens or bool(self.requests_per_hour_per_gpu)


def check_together(api: Api, gpu: OwnGpu, tokens: Tokens | None, load: float | None) -> None:
    """Find out whether all that a break-even needs is there.

    Raises:
        BadInput: the tokens of a request are not known but decide; or the load is no number.
    """
    if tokens is None and (api.needs_tokens or gpu.needs_tokens):
        raise BadInput(
            "A price or speed by tokens needs the tokens of a request.",
            "Give tokens in and out, or a stored run to count them in.",
        )
    if load is not None:
        _check("The load", load)


def assumed(api: Api, gpu: OwnGpu, tokens: Tokens | None) -> dict[str, float]:
    """Return the assumptions that decide a case, by name; what was repeated as its mean."""
    values: dict[str, float] = {}
    if api.usd_per_request is not None:
        values["usd_per_request"] = api.usd_per_request
    else:
        values |= {"input_price": api.input_price or 0.0, "output_price": api.output_price or 0.0}
    if tokens is not None and (api.needs_tokens or gpu.needs_tokens):
        values |= {"input_tokens": _mean(tokens.input), "output_tokens": _mean(tokens.output)}
    values |= {"usd_per_hour": gpu.usd_per_hour, "gpus": float(gpu.gpus)}
    if gpu.requests_per_hour_per_gpu:
        values["requests_per_hour_per_gpu"] = _mean(gpu.requests_per_hour_per_gpu)
    if gpu.needs_tokens:
        values["throughput"] = 1.0
    if gpu.knows_share and gpu.reading_share is not None:
        values["reading_share"] = gpu.reading_share
    if gpu.is_limited:
        values["utilisation"] = gpu.utilisation
    return values


def check_ranges(ranges: Ranges, values: Mapping[str, float]) -> None:
    """Find what is wrong with typed ranges.

    Raises:
        UnknownName: a range is of no assumption of this case.
        BadInput: its ends are no numbers that the assumption may take, are the wrong way round, or
            what was taken lies outside.
    """
    for name, (low, high) in ranges.items():
        if name not in values:
            raise UnknownName("assumption of this case", name, values)
        title = f"The range of {TITLES[name]}"
        _check_all(title, (low, high), above=name in ("requests_per_hour_per_gpu", "throughput"))
        if low > high:
            raise BadInput(f"{title} is from {low:g} to {high:g}.", "Give the lower end first.")
        if (high > 1 and name in SHARES) or (name == "utilisation" and low == 0):
            raise BadInput(f"{title} is from {low:g} to {high:g}.", "It is a share, up to 1.")
        if name == "gpus" and not (low >= 1 and low == int(low) and high == int(high)):
            raise BadInput(f"{title} is from {low:g} to {high:g}.", "Give whole numbers from 1.")
        # Rounded as it is shown: who types the mean that was told means that.
        if not low <= values[name] <= high and f"{values[name]:.6g}" not in (
            f"{low:.6g}",
            f"{high:.6g}",
        ):
            raise BadInput(
                f"{title} is from {low:g} to {high:g}, but {values[name]:.6g} is what was taken.",
                "Give ends around it, or another number.",
            )


def read_range(text: str) -> tuple[str, tuple[float, float]]:
    """Read a range as it is typed, ``usd_per_hour=3:5``.

    Raises:
        BadInput: it is written otherwise.
    """
    name, _, ends = text.partition("=")
    low, _, high = ends.partition(":")
    try:
        return name.strip().replace("-", "_"), (float(low), float(high))
    except ValueError:
        raise BadInput(
            f"'{text}' is no range.", "Write NAME=LOW:HIGH, as usd_per_hour=3:5"
        ) from None


def _pairs(prices: Iterable[float | None]) -> Iterable[tuple[str, float | None]]:
    return zip(("The price of tokens in", "The price of tokens out"), prices, strict=True)


def _check(title: str, value: float, *, above: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (above and value == 0):
        least = "above zero" if above else "from zero"
        raise BadInput(f"{title} is {value:g}.", f"Give a number {least}.")


def _check_all(title: str, values: Iterable[float], *, above: bool = False) -> None:
    for value in values:
        _check(title, value, above=above)


def _mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values)
