"""What an answer costs: from the user's price file, or else from the package genai-prices.

Your own prices stand in ``prices.toml`` of the home folder (or where WORKBENCH_PRICES points), in
USD per million tokens, by the names of backends; ``*`` stands for anything::

    date = 2026-11-01

    ["openai/gpt-4o"]
    input = 2.50
    output = 10.00

    ["openai-compatible/*@http://gpu-server:8000/*"]
    input = 0
    output = 0.40
    date = 2026-10-01          # where it differs from the file's

A name that is written out comes before a pattern, and the first pattern that fits before the
others. The file wins over everything else. A price that nobody knows is None, never 0.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from workbench import comparison
from workbench.errors import BadInput
from workbench.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ("llama-cpp", "transformers", "retrieval", "replay")
"""The providers that answer on this machine, for no money a call."""

_MILLION = 1_000_000
# Providers as genai-prices calls them: here by the same names.
_PRICED = ("openai", "anthropic", "cohere", "google", "mistral")
# The release at the end of a model's name: what may differ where the price is the same.
_RELEASE = re.compile(r"([-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3,4}|latest|preview|exp))+$")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens read and written. ``source`` says whose price this is.

    ``date`` is the price's date, or the version of the package that knows it.
    """

    input: float
    output: float
    source: str
    date: str = ""

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return the price of one or more calls in USD; what a model thinks counts as output."""
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION

    def __str__(self) -> str:
        when = f", {self.date}" if self.date else ""
        free = self.input == self.output == 0
        rates = f"{self.input:g} in, {self.output:g} out USD per million tokens"
        return f"{'0 USD' if free else rates} ({self.source}{when})"


def price_of(backend: str) -> Price | None:
    """Return what the backend of that name costs, None where nobody knows.

    Raises:
        BadInput: the user's price file is malformed; the message names the line.
    """
    own = _from_file(backend)
    if own is not None:
        return own
    provider, _, model = backend.partition("/")
    if provider in LOCAL:
        return Price(0.0, 0.0, "this machine")
    if provider in _PRICED and model:
        return _from_package(provider, model)
    return None


def money(usd: float | None) -> str:
    """Return an amount in USD, "unknown" for None."""
    return "unknown" if usd is None else comparison.money(usd)


# --- the user's file -------------------------------------------------------------------


def price_file() -> Path:
    """Return where the user's own prices stand, or would."""
    chosen = settings()
    return chosen.prices or chosen.home / "prices.toml"


def _from_file(backend: str) -> Price | None:
    path = price_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if settings().prices is None:
            return None
        raise _malformed(path, "it does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _malformed(path, "it cannot be read as text") from error
    prices = _read(path, text)
    if backend in prices:
        return prices[backend]
    fits = (price for pattern, price in prices.items() if fnmatchcase(backend, pattern))
    return next(fits, None)


def _read(path: Path, text: str) -> dict[str, Price]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(path, str(error)) from error
    date = tables.pop("date", "")
    found = {}
    for name, table in tables.items():
        where = f"at line {_line_of(text, name)}"
        if not isinstance(table, dict) or "/" not in name:
            raise _malformed(path, f"{where}, {name} is no table named by a backend")
        if unknown := set(table) - {"input", "output", "date"}:
            raise _malformed(path, f"{where}, {name} says {', '.join(sorted(unknown))}")
        if not all(_is_price(table.get(kind)) for kind in ("input", "output")):
            raise _malformed(path, f"{where}, {name} lacks a number, 0 or more, of input or output")
        found[name] = Price(
            float(table["input"]),
            float(table["output"]),
            f"{path.name}: {name}",
            str(table.get("date", date)),
        )
    return found


def _is_price(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < float("inf")


def _line_of(text: str, name: str) -> int:
    """Return the line on which a table or key begins; 1 where it is written in another form."""
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if name in line.partition("#")[0]), 1)


def _malformed(path: Path, what: str) -> BadInput:
    return BadInput(
        f"The price file {path} is malformed: {what}.",
        'Write for each backend: ["provider/model"], and below it input = and output = in USD per'
        " million tokens.",
    )


# --- the package -----------------------------------------------------------------------


@functools.cache
def _from_package(provider: str, model: str) -> Price | None:
    """Return the price in the data that genai-prices brings along; it is never updated by us.

    Plain rates are what is taken: no tiers for long prompts, no discounts for what the provider
    has cached or runs in batches. The package matches by patterns, and some fit names that they do
    not mean (``claude-opus-4-1`` fits the beginning of ``claude-opus-4-10``). So a pattern counts
    only where it reaches over the whole name, save for a date, a number of a release, or "latest"
    at its end.
    """
    # The bundled data by itself: a process may have let the package's updater replace it.
    from genai_prices.data import providers

    known = next((one for one in providers if one.id == provider), None)
    if known is None:
        return None
    name = model.lower().removeprefix("models/")
    needed = len(_RELEASE.sub("", name))
    named = [
        one for one in known.models if one.is_match(name) and _reach(one.match, name) >= needed
    ]
    if not named:
        return None
    found = max(named, key=lambda one: _reach(one.match, name))
    rates = found.get_prices(datetime.now(UTC))
    read, written = _plain(rates.input_mtok), _plain(rates.output_mtok)
    if read is None or written is None:
        return None
    source = f"genai-prices: plain rates of {provider}/{found.id}"
    if tiers := getattr(rates.input_mtok, "tiers", ()):
        source += f", which is dearer above {tiers[0].start:,} tokens a prompt"
    return Price(read, written, source, f"version {version('genai-prices')}")


def _plain(rate: Any) -> float | None:
    """Return a rate, that of the first tier where there are several; None where there is none."""
    return None if rate is None else float(getattr(rate, "base", rate))


def _reach(clause: Any, name: str) -> int:
    """Return how many characters from the start of ``name`` a matching clause speaks of."""
    from genai_prices import types as kinds

    match clause:
        case kinds.ClauseEquals(equals=text) | kinds.ClauseEndsWith(ends_with=text):
            return len(name) if name == text.lower() else 0
        case kinds.ClauseStartsWith(starts_with=text) | kinds.ClauseContains(contains=text):
            return len(text) if name.startswith(text.lower()) else 0
        case kinds.ClauseRegex():
            found = re.match(clause.regex, name)
            return found.end() if found else 0
        case kinds.ClauseOr(or_=parts) | kinds.ClauseAnd(and_=parts):
            return max((_reach(part, name) for part in parts if part.is_match(name)), default=0)
    return 0
