"""What things cost, in words and in HTML tables."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.cost.records import Crossover, Mean, Point, Reckoning, SolverCost, Span

UNKNOWN = "unknown"
NO_VERDICTS = "no pass@1 score"

# What the page of the UI and a notebook need; theme.css has the rest. On a telephone, where only
# the first columns would be seen, each row becomes a list of what it says; the name of an element
# that is nowhere lets that go before what Gradio says of all tables.
_PHONE = ":is(.wb-cost,#wb-cost)"
# Letters of a cell that stays on one line.
_SHORT = 20
STYLE = (
    "<style>.wb-cost table{border-collapse:collapse;font-size:13px}"
    ".wb-cost th,.wb-cost td{padding:4px 10px;text-align:right;border-bottom:1px solid #8884}"
    ".wb-cost td:first-child,.wb-cost th:first-child{text-align:left}"
    ".wb-cost .wb-long{white-space:normal!important;overflow-wrap:anywhere}"
    ".wb-cost small{opacity:.75}.wb-cost .wb-said{font-size:15px;margin:4px 0}"
    ".wb-cost div{overflow-x:auto}"
    f"@media(max-width:600px){{{_PHONE} table{{display:block;width:100%}}"
    f"{_PHONE} thead{{display:none}}{_PHONE} tbody,{_PHONE} tr{{display:block}}"
    f"{_PHONE} tbody tr{{padding:6px 0!important;border-top:1px solid #8884!important}}"
    f"{_PHONE} tbody td{{display:flex;justify-content:space-between;gap:16px;border:0!important;"
    "padding:1px 0!important}"
    f"{_PHONE} tbody td::before{{content:attr(data-head);opacity:.75;white-space:nowrap}}"
    f"{_PHONE} tbody td:empty{{display:none}}}}</style>"
)


def usd(amount: float | None, *, unit: str = " USD") -> str:
    """Return an amount with the digits that count, "unknown" for None."""
    if amount is None:
        return UNKNOWN
    if amount >= 1:
        return f"{amount:,.2f}{unit}"
    return f"{_plain(amount)}{unit}"


def price(amount: float) -> str:
    """Return a price as it was given, as 0.025 or 4.05."""
    return f"{amount:,.2f}" if amount >= 1 else _plain(amount, 4)


def _plain(amount: float, digits: int = 3) -> str:
    """Return a number with so many digits that count, and never as 2.5e-05."""
    return np.format_float_positional(amount, precision=digits, fractional=False, trim="-")


def number(value: float | None, none: str = "never") -> str:
    """Return a load or a count: whole where it is large, with the digits that count else."""
    if value is None:
        return none
    return f"{value:,.0f}" if value >= 20 or value == round(value) else f"{value:.3g}"


def span(one: Span | None) -> str:
    """Return an interval, "" where there is none."""
    if one is None:
        return ""
    if one.low is None:
        return "never"
    return f"{number(one.low)} to {number(one.high)}"


def gpus(count: float) -> str:
    """Return a number of GPUs, as "1 GPU"."""
    return f"{count:,.0f} GPU" + ("s" if count != 1 else "")


def sentence(one: Reckoning) -> str:
    """Say from how many requests an hour own GPUs pay."""
    parts = [_VERDICTS[one.verdict](one), _uncertainty(one), _at_load(one)]
    return " ".join(part for part in parts if part)


def _never(one: Reckoning) -> str:
    if one.usd_per_request == 0:
        return "Own GPUs never pay: the API costs nothing."
    served = f"{number(one.capacity)} requests an hour"
    per_request = one.gpu.usd_per_hour / (one.capacity or 1.0)
    return (
        f"Own GPUs never pay: one serves {served}, so a request costs at least"
        f" {usd(per_request)} there and {usd(one.usd_per_request)} on the API. It would have to"
        f" serve {number(one.needed)} an hour."
    )


def _always(one: Reckoning) -> str:
    return "Own GPUs always pay: they cost nothing an hour."


def _from(one: Reckoning) -> str:
    hourly = one.gpu.usd_per_hour * one.gpu.gpus
    said = (
        f"{gpus(one.gpu.gpus)} at {price(one.gpu.usd_per_hour)} USD an hour pay from"
        f" {number(one.crossover.first)} requests an hour on"
        f" ({usd(hourly, unit='')} / {price(one.usd_per_request)})"
    )
    if one.gpu.gpus == 1:
        said = said.replace("hour pay", "hour pays", 1)
    if one.capacity is None:
        each = " each" if one.gpu.gpus > 1 else ""
        return f"{said}, if they can serve so many: {number(one.needed)} an hour{each}."
    return f"{said}, at every load above, too."


def _staircase(one: Reckoning) -> str:
    stretches = one.stretches(3)
    closed = [f"{number(start)} to {number(end)}" for start, end in stretches if end is not None]
    told = ", ".join(closed + ["..."] * (len(closed) == len(stretches)))
    first = f"Own GPUs pay from {number(one.crossover.first)} requests an hour, but not throughout"
    if one.crossover.for_good is None:
        return f"{first}: only where every GPU is full (first at {number(stretches[0][1])})."
    return (
        f"{first}: each GPU that is added has to be filled first ({told} an hour). They pay"
        f" for good from {number(one.crossover.for_good)} requests an hour on."
    )


_VERDICTS = {"never": _never, "always": _always, "from": _from, "staircase": _staircase}


def _uncertainty(one: Reckoning) -> str:
    parts = []
    lasting = one.verdict == "staircase"
    interval = one.for_good_interval if lasting else one.first_interval
    if interval is not None and interval.low != interval.high:
        good = " for good" if lasting else ""
        if interval.high is None:
            ends = f"from {number(interval.low)} on at best, and never{good} at worst"
        else:
            ends = f"from between {number(interval.low)} and {number(interval.high)} on"
        parts.append(f"As far as the numbers are known, they pay{good} {ends}.")
    if one.never_share and one.verdict != "never":
        parts.append(f"In {one.never_share:.0%} of the resamples they never pay.")
    return " ".join(parts)


def _at_load(one: Reckoning) -> str:
    if one.load is None:
        return ""
    api, own = one.api_cost(one.load), one.gpu_cost(one.load)
    cheaper = (
        "the same" if api == own else "the API is cheaper" if api < own else "own GPUs are cheaper"
    )
    return (
        f"At {number(one.load)} requests an hour the API costs {usd(api)} an hour and"
        f" {gpus(one.gpus_at(one.load))} {usd(own)}: {cheaper}."
    )


SENSITIVITY = ("assumption", "taken", "lower", "pays from", "higher", "pays from")
"""The columns of ``sensitivities``."""


def sensitivities(one: Reckoning) -> list[list[str]]:
    """Return what moving each assumption does to the crossover, as cells of a table."""
    return [
        [
            which.title,
            f"{one.assumptions[which.name]:,.6g}",
            f"{which.low:,.4g}",
            _crossover(which.at_low),
            f"{which.high:,.4g}",
            _crossover(which.at_high),
        ]
        for which in one.sensitivities
    ]


def break_even_html(one: Reckoning) -> str:
    """Return the sentence, what each assumption does to the crossover, and the sources."""
    sources = "".join(f"<p><small>{escape(source)}</small></p>" for source in one.sources)
    return (
        f"{STYLE}<div class='wb-cost wb-lab'><p class='wb-said'>{escape(sentence(one))}</p>"
        f"{table(SENSITIVITY, sensitivities(one))}{sources}</div>"
    )


def _crossover(one: Crossover) -> str:
    if one.first == one.for_good:
        return number(one.first)
    return f"{number(one.first)}, for good {number(one.for_good)}"


def table(heads: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """Return cells, which are text, as an HTML table that scrolls in a box of its own."""
    titles, long = [escape(head) for head in heads], ' class="wb-long"'
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-head="{title}"{long * (len(cell) > _SHORT)}>{escape(cell)}</td>'
            for title, cell in zip(titles, cells, strict=True)
        )
        + "</tr>"
        for cells in rows
    )
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


COLUMNS = (
    "solver",
    "an answer",
    "a solved problem",
    "paid",
    "cached",
    "machine",
    "answers",
    "errors",
    "partial",
    "tokens in",
    "tokens out",
)
"""The columns of a run's costs; see ``cells``."""


def cells(one: SolverCost) -> list[str]:
    """Return what a solver cost as cells of a table, by ``COLUMNS``."""
    return [
        one.solver,
        mean(one.per_answer),
        solved(one),
        _paid(one),
        usd(one.cached_usd) if one.cached else "",
        "" if one.machine_usd is None else usd(one.machine_usd),
        f"{one.answers:,}",
        f"{one.errors:,}",
        f"{one.partial:,}",
        _counted(one, one.input_tokens),
        _counted(one, one.output_tokens),
    ]


def _counted(one: SolverCost, tokens: int | None) -> str:
    if tokens is None:
        return UNKNOWN
    return f"{tokens:,}" + (f" ({one.uncounted:,} uncounted)" if one.uncounted else "")


def _paid(one: SolverCost) -> str:
    if one.usd is None:
        known = f", {usd(one.known_usd)} known" if one.known_usd else ""
        return f"{UNKNOWN} ({one.unpriced} of {one.calls} calls{known})"
    return usd(one.usd) + (" *" if one.priced_today else "")


def mean(one: Mean | None) -> str:
    """Return a mean in USD with its interval, "unknown" for None."""
    if one is None:
        return UNKNOWN
    if one.low is None or one.low == one.high:
        return usd(one.mean)
    high = "no end" if one.high is None else usd(one.high, unit="")
    return f"{usd(one.mean)} ({usd(one.low, unit='')} to {high})"


def solved(one: SolverCost) -> str:
    """Return what a solved problem cost; in words where nothing was judged or none is solved."""
    if one.solved is None:
        return NO_VERDICTS
    left = f", {one.unjudged:,} not judged" if one.unjudged else ""
    if one.solved == 0:
        return f"none solved{left}"
    return f"{mean(one.per_solved)}, {one.solved:,} solved{left}"


def run_cost_html(solvers: Sequence[SolverCost], notes: Sequence[str]) -> str:
    """Return a row a solver, and what is to be known about the numbers; no column is empty."""
    rows = [cells(one) for one in solvers]
    filled = [at for at in range(len(COLUMNS)) if any(row[at] for row in rows)]
    heads = [COLUMNS[at] for at in filled]
    rows = [[row[at] for at in filled] for row in rows]
    said = "".join(f"<p><small>{escape(note)}</small></p>" for note in notes)
    return f"{STYLE}<div class='wb-cost wb-lab'>{table(heads, rows)}{said}</div>"


POINTS = (
    "at a time",
    "answers",
    "errors",
    "requests/s",
    "repeats",
    "out/s",
    "in/s",
    "p50 s",
    "p95 s",
    "first s",
)
"""The columns of ``points``: rates a second, of requests and of tokens; times in seconds."""


def points(measured: Sequence[Point]) -> list[list[str]]:
    """Return what was measured as cells of a table, a row a concurrency."""
    return [
        [
            f"{point.concurrency}",
            f"{point.requests:,}",
            f"{point.errors:,}",
            f"{point.requests_per_second:.2f}",
            _ends([one.requests_per_second for one in point.repeats]),
            *(
                _digits(value, places)
                for value, places in (
                    (point.tokens_per_second, 1),
                    (point.input_tokens_per_second, 1),
                    (point.latency_p50, 2),
                    (point.latency_p95, 2),
                    (point.first_token_p50, 2),
                )
            ),
        ]
        for point in measured
    ]


def _ends(repeats: Sequence[float]) -> str:
    return f"{min(repeats):.2f} to {max(repeats):.2f}" if len(repeats) > 1 else ""


def _digits(value: float | None, places: int) -> str:
    return "?" if value is None else f"{value:,.{places}f}"


def seconds(value: float | None) -> str:
    """Return a time, "unknown" for None."""
    return UNKNOWN if value is None else f"{value:.2f} s"


def throughput_html(measured: Sequence[Point], note: str) -> str:
    """Return a row a concurrency, and how it was measured."""
    return (
        f"{STYLE}<div class='wb-cost wb-lab'>{table(POINTS, points(measured))}"
        f"<p><small>{escape(note)}</small></p></div>"
    )
