"""From so much to so much, and how such figures are written."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workbench.backends.prices import money
from workbench.report import style


@dataclass(frozen=True, slots=True)
class Span:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def __mul__(self, times: float) -> Span:
        return Span(self.low * times, self.high * times)

    def show(self, form: Callable[[float], str]) -> str:
        """Return "low to high", or one figure where they look the same."""
        low, high = form(self.low), form(self.high)
        return low if low == high else f"{low} to {high}"


def count(number: float) -> str:
    """Return a number of tokens."""
    return f"{number:,.0f}"


def amount(usd: Span | None) -> str:
    """Return an amount of money as a text."""
    if usd is None:
        return "unknown"
    low, high = money(usd.low), money(usd.high)
    return high if low == high else f"{low.removesuffix(' USD')} to {high}"


def duration(minutes: Span | None) -> str:
    """Return minutes as a text."""
    if minutes is None:
        return "unknown"
    return f"{minutes.show(_minutes)} min"


def _minutes(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{math.ceil(number * 10) / 10:g}"


def table_html(head: Iterable[str], rows: Iterable[Iterable[str]], *below: str) -> str:
    """Return a table with its style, and lines of small print below it."""
    lines = [f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>"]
    for row in rows:
        lines.append(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>")
    notes = "".join(f"<div class='wb-dim'>{html.escape(line)}</div>" for line in below)
    return f"{style()}<div class='wb'><table>{''.join(lines)}</table>{notes}</div>"
