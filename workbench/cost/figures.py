"""What things cost, as pictures: break-even, sensitivities, solvers, throughput."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.cost.records import gpus_for
from workbench.cost.words import gpus, mean, number, price, seconds, span
from workbench.errors import BadInput
from workbench.plots import COLOURS, INK, go, layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.cost.records import (
        Crossover,
        CrossoverName,
        Mean,
        Point,
        Reckoning,
        Sensitivity,
        SolverCost,
    )

CostOf = Literal["answer", "solved"]

_API, _OWN, _CROSS = COLOURS[1], COLOURS[0], COLOURS[2]
# Steps that are drawn at the most: a staircase of thousands is a slope.
_MOST_STEPS = 400
# Letters of a solver's name on a line.
_NAME = 24
# Room for a title and two lines below it.
_TOP = 92
_LEGEND = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}


def cost_over_load(one: Reckoning) -> go.Figure:
    """Draw USD an hour over requests an hour: the API's line, the staircase of own GPUs.

    The band around the staircase is that of the interval of what a GPU serves. Crossovers are
    marked; the first one's interval, or the last one's on a staircase, is shaded.
    """
    right = _right(one)
    figure = go.Figure()
    _interval_band(figure, one, right)
    if one.capacity_interval is not None:
        _staircase_band(figure, one, right)
    loads, costs = _staircase(one, one.capacity, right)
    figure.add_trace(
        go.Scatter(
            x=loads,
            y=costs,
            mode="lines",
            line={"color": _OWN, "width": 2.5},
            name="own GPUs",
            hovertemplate="%{x:,.0f} requests an hour<br>own GPUs %{y:,.2f} USD<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=np.linspace(0, right, 101),
            y=np.linspace(0, one.api_cost(right), 101),
            mode="lines",
            line={"color": _API, "width": 2.5},
            name="API",
            hovertemplate="%{x:,.0f} requests an hour<br>API %{y:,.2f} USD<extra></extra>",
        )
    )
    _mark_crossovers(figure, one, right)
    if one.load is not None:
        figure.add_vline(
            x=one.load,
            line={"color": INK, "dash": "dot", "width": 1},
            annotation={"text": f"your load: {number(one.load)}", "font": {"color": INK}},
        )
    figure.update_layout(layout("Cost an hour", note=_note(one)), legend=_LEGEND, margin_t=_TOP)
    figure.update_xaxes(title="requests an hour", range=[0, right], showgrid=False)
    figure.update_yaxes(title="USD an hour", rangemode="tozero")
    return figure


def _right(one: Reckoning) -> float:
    """Return where the picture ends: past every crossover, and past some steps where there are."""
    marks = [one.crossover.first, one.crossover.for_good, one.load]
    if one.needed is not None:
        marks.append(one.needed * one.gpu.gpus)
    if one.capacity is not None and one.verdict != "from" and one.crossover.for_good in (None, 0):
        marks.append(3 * one.capacity * one.gpu.gpus)
    furthest = max((mark for mark in marks if mark), default=100.0)
    if one.capacity is not None:  # the first step, too, where it is not far off
        furthest = max(furthest, min(one.capacity * one.gpu.gpus, 3 * furthest))
    return 1.6 * furthest


def _staircase(
    one: Reckoning, capacity: float | None, right: float
) -> tuple[list[float], list[float]]:
    """Return the corners of the staircase, or a fine curve where it has too many."""
    if capacity is None or right / capacity > _MOST_STEPS:
        fine = np.linspace(0, right, _MOST_STEPS)
        count = gpus_for(fine, one.gpu.gpus, capacity)
        return fine.tolist(), (count * one.gpu.usd_per_hour).tolist()
    loads, costs = [0.0], [one.gpu.gpus * one.gpu.usd_per_hour]
    for count in range(one.gpu.gpus, math.ceil(right / capacity) + 1):
        end = min(count * capacity, right)
        loads += [loads[-1], end]
        costs += [count * one.gpu.usd_per_hour] * 2
        if end >= right:
            break
    return loads, costs


def _staircase_band(figure: go.Figure, one: Reckoning, right: float) -> None:
    """Shade between what fast and slow GPUs would cost, both within the interval."""
    interval = one.capacity_interval
    if interval is None or not interval.low or interval.low == interval.high:
        return
    loads = np.linspace(0, right, 2 * _MOST_STEPS)
    dear, cheap = (
        gpus_for(loads, one.gpu.gpus, capacity) * one.gpu.usd_per_hour
        for capacity in (interval.low, interval.high)
    )
    figure.add_trace(
        go.Scatter(
            x=[*loads, *loads[::-1]],
            y=[*dear, *cheap[::-1]],
            fill="toself",
            fillcolor=_faint(_OWN),
            line={"width": 0},
            hoverinfo="skip",
            name=f"own GPUs, {_sure(one)}",
        )
    )


def _interval_band(figure: go.Figure, one: Reckoning, right: float) -> None:
    interval = one.for_good_interval if one.verdict == "staircase" else one.first_interval
    if interval is None or interval.low is None or interval.low == interval.high:
        return
    figure.add_vrect(
        x0=interval.low,
        x1=right if interval.high is None else min(interval.high, right),
        fillcolor=_faint(_CROSS),
        line_width=0,
        layer="below",
    )


def _mark_crossovers(figure: go.Figure, one: Reckoning, right: float) -> None:
    marks = [("pays from", one.crossover.first)]
    if one.verdict == "staircase":
        marks.append(("for good from", one.crossover.for_good))
    drawn = [(words, load) for words, load in marks if load]
    if not drawn:
        return
    figure.add_trace(
        go.Scatter(
            x=[load for _, load in drawn],
            y=[one.api_cost(load) for _, load in drawn],
            mode="markers+text",
            marker={"size": 11, "color": _CROSS},
            text=[f"{words} {number(load)}" for words, load in drawn],
            # To the side where there is room, clear of both lines.
            textposition=[
                "top left" if load > 0.45 * right else "bottom right" for _, load in drawn
            ],
            textfont={"color": _CROSS, "size": 13},
            name="crossover",
            cliponaxis=False,
            hovertemplate="%{text} requests an hour<br>%{y:,.2f} USD an hour<extra></extra>",
        )
    )


def _sure(one: Reckoning) -> str:
    """Return what an interval is: ends that were typed have no 95 %."""
    return "as typed" if one.never_share is None else "95 %"


def _note(one: Reckoning) -> str:
    taken = [
        f"API {price(one.usd_per_request)} USD a request",
        f"{gpus(one.gpu.gpus)} at {price(one.gpu.usd_per_hour)} USD an hour",
    ]
    if one.capacity is None:
        taken.append("no limit to what they serve")
    else:
        taken.append(f"each serves {number(one.capacity)} an hour")
    interval = one.for_good_interval if one.verdict == "staircase" else one.first_interval
    if interval is not None and interval.low != interval.high:
        taken.append(f"{_sure(one)}: {span(interval)}")
    # Two lines: a telephone shows no more of one.
    return "<br>".join(("; ".join(taken[:2]), "; ".join(taken[2:])))


def tornado(one: Reckoning, which: CrossoverName | None = None) -> go.Figure:
    """Draw how far each assumption, moved alone, moves the crossover; the widest on top.

    ``which`` is the load from which own GPUs pay first or for good, or the ratio of a full GPU's
    cost to the API's; without, that which is in question. A bar that ends at "never" runs to the
    edge.
    """
    chosen = which or _in_question(one)
    now = _load(one.crossover, chosen)
    shown = list(reversed(one.sensitivities))
    ends = [_load(end, chosen) for bar in shown for end in (bar.at_low, bar.at_high)]
    known = [end for end in (*ends, now) if end is not None]
    if chosen == "ratio":
        known.append(1.0)
    edge = 1.35 * max(known, default=1.0) or 1.0
    base = edge if now is None else now
    figure = go.Figure(
        [
            _bars(one, shown, side, chosen, base, edge, colour)
            for side, colour in (("low", COLOURS[5]), ("high", COLOURS[4]))
        ]
    )
    figure.add_vline(x=base, line={"color": INK, "width": 1})
    note = _MOVED[chosen]
    if chosen != "ratio" and None in (*ends, now):
        note += "; to the edge: never"
    figure.update_layout(
        layout("What moves the crossover", note=note),
        barmode="overlay",
        margin_t=_TOP,
        bargap=0.35,
        height=max(400, 170 + 42 * len(shown)),
        legend={**_LEGEND, "y": -0.3},
    )
    figure.update_xaxes(
        title="times the API's price" if chosen == "ratio" else "requests an hour",
        nticks=4,
        tickangle=0,
        range=[_left(known, edge), edge],
        zeroline=False,
    )
    if chosen == "ratio":
        figure.add_vline(x=1.0, line={"color": _CROSS, "width": 2})
    figure.update_yaxes(ticklabelstandoff=6)
    return figure


_MOVED = {
    "first": "requests an hour from which own GPUs pay,<br>as one assumption is moved",
    "for_good": "requests an hour from which own GPUs pay for good,<br>as one assumption is moved",
    "ratio": "own GPUs never pay: a request on a full GPU in times<br>of the API's price;"
    " they would pay at the green line",
}


def _in_question(one: Reckoning) -> CrossoverName:
    """Return what a tornado is about: how far off it is, where own GPUs never pay."""
    if not one.gpu.is_limited:
        return "first"
    if one.verdict == "never" and one.crossover.ratio is not None:
        return "ratio"
    return "for_good"


def _bars(
    one: Reckoning,
    shown: Sequence[Sensitivity],
    side: str,
    chosen: CrossoverName,
    base: float,
    edge: float,
    colour: str,
) -> go.Bar:
    loads = [_load(getattr(bar, f"at_{side}"), chosen) for bar in shown]
    return go.Bar(
        orientation="h",
        y=[_assumption(one, bar) for bar in shown],
        base=base,
        x=[(edge if load is None else load) - base for load in loads],
        marker={"color": colour},
        name="lower" if side == "low" else "higher",
        text=[_end(bar, side, load) for bar, load in zip(shown, loads, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        textposition="none",
    )


def _left(finite: Sequence[float], edge: float) -> float:
    least = min(finite, default=0.0)
    return max(0.0, least - 0.15 * (edge - least))


def _load(crossover: Crossover, which: CrossoverName) -> float | None:
    load: float | None = getattr(crossover, which)
    return load


def _assumption(one: Reckoning, bar: Sensitivity) -> str:
    taken = one.assumptions[bar.name]
    return f"{bar.title}<br><b>{taken:,.4g}</b> ({bar.low:,.3g} to {bar.high:,.3g})"


def _end(bar: Sensitivity, side: str, load: float | None) -> str:
    return f"{bar.title} {getattr(bar, side):,.4g}: {number(load)}"


def cost_bars(solvers: Sequence[SolverCost], of: CostOf = "answer") -> go.Figure:
    """Draw what an answer, or a solved problem, cost each solver; bars are 95 % intervals.

    Solvers whose cost is unknown, or that solved nothing, are named above the picture instead of
    being drawn.

    Raises:
        BadInput: it is known of none.
    """
    means = [(one.solver, one.per_answer if of == "answer" else one.per_solved) for one in solvers]
    known = [(solver, mean) for solver, mean in means if mean is not None]
    what = "an answer" if of == "answer" else "a solved problem"
    if not known:
        raise BadInput(
            f"What {what} cost is known of no solver.",
            "See what has a price: workbench cost prices",
        )
    known.sort(key=lambda pair: pair[1].mean, reverse=True)
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=[_folded(solver) for solver, _ in known],
            x=[one.mean for _, one in known],
            error_x=_error_bars([one for _, one in known], _far(known)),
            marker={"color": _OWN},
            text=[f"{mean(one)}" for _, one in known],
            textposition="none",
            hovertemplate="%{y}<br>%{text}<extra></extra>",
        )
    )
    figure.update_layout(layout(f"USD {what}", note=_cost_note(solvers, of)), bargap=0.4)
    figure.update_layout(height=180 + 44 * len(known))
    # The title says what the axis is of; a telephone has room for few ticks.
    figure.update_xaxes(
        range=[0, _far(known)], exponentformat="none", nticks=3, tickangle=0, zeroline=False
    )
    figure.update_yaxes(ticklabelstandoff=6)
    return figure


def _cost_note(solvers: Sequence[SolverCost], of: CostOf) -> str:
    """Say what the bars are, and who has none and why."""
    means = {one.solver: one.per_answer if of == "answer" else one.per_solved for one in solvers}
    none = [one.solver for one in solvers if of == "solved" and one.solved == 0]
    unknown = [solver for solver, mean in means.items() if mean is None and solver not in none]
    endless = any(one and one.low is not None and one.high is None for one in means.values())
    ends = "; to the edge: no end" if endless else ""
    parts = [f"bars: 95 % intervals{ends}"]
    parts += [f"unknown: {', '.join(unknown)}"] * bool(unknown)
    parts += [f"none solved: {', '.join(none)}"] * bool(none)
    return "<br>".join(parts)


def _far(known: Sequence[tuple[str, Mean]]) -> float:
    """Return where the axis ends: past every bar and every interval that has an end."""
    return 1.08 * max(max(one.mean, one.high or 0.0) for _, one in known) or 1.0


def _folded(name: str) -> str:
    """Break a long name at its slashes into lines that leave a telephone room for the bars."""
    lines = [""]
    for part in re.findall(r"[^/]*/?", name):
        if lines[-1] and len(lines[-1] + part) > _NAME:
            lines.append("")
        lines[-1] += part
    return "<br>".join(lines)


def _error_bars(means: Sequence[Mean], edge: float) -> dict[str, Any]:
    return {
        "type": "data",
        "array": [_above(one, edge) for one in means],
        "arrayminus": [0.0 if one.low is None else one.mean - one.low for one in means],
        "thickness": 1.4,
        "width": 5,
        "color": INK,
    }


def _above(one: Mean, edge: float) -> float:
    """Return how far the interval reaches above the mean; past the edge where it has no end."""
    if one.high is not None:
        return one.high - one.mean
    return 0.0 if one.low is None else 2 * edge


def throughput_over_concurrency(measured: Mapping[str, Sequence[Point]]) -> go.Figure:
    """Draw requests a second of each backend over how many are under way; bars are the repeats."""
    figure = go.Figure()
    for position, (backend, every) in enumerate(measured.items()):
        colour = COLOURS[position % len(COLOURS)]
        points = [point for point in every if point.requests]
        rates = [[repeat.requests_per_second for repeat in point.repeats] for point in points]
        figure.add_trace(
            go.Scatter(
                x=[point.concurrency for point in points],
                y=[point.requests_per_second for point in points],
                error_y={
                    "type": "data",
                    "array": [
                        max(some) - point.requests_per_second
                        for some, point in zip(rates, points, strict=True)
                    ],
                    "arrayminus": [
                        point.requests_per_second - min(some)
                        for some, point in zip(rates, points, strict=True)
                    ],
                    "thickness": 1.2,
                    "width": 4,
                },
                mode="lines+markers",
                marker={"size": 9, "color": colour},
                line={"color": colour, "width": 2},
                name=backend,
                text=[
                    f"{_rate(point.tokens_per_second)} tokens/s out<br>"
                    f"latency {seconds(point.latency_p50)}, p95 {seconds(point.latency_p95)}<br>"
                    f"{point.errors} errors"
                    for point in points
                ],
                hovertemplate="%{x} at a time: %{y:.2f} requests/s<br>%{text}<extra></extra>",
                showlegend=True,
            )
        )
    figure.update_layout(
        layout("Requests a second", note="bars: least and most of the repeats"), legend=_LEGEND
    )
    counts = sorted({point.concurrency for points in measured.values() for point in points})
    figure.update_xaxes(
        title="requests at a time",
        type="log",
        tickvals=counts,
        ticktext=[str(count) for count in counts],
    )
    figure.update_yaxes(title="requests a second", rangemode="tozero")
    return figure


def page(title: str, body: str, *figures: go.Figure) -> str:
    """Return a page that needs nothing else: ``body`` is HTML, the pictures stand below it."""
    pictures = "".join(
        figure.to_html(full_html=False, include_plotlyjs=position == 0)
        for position, figure in enumerate(figures)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title></head>"
        "<body style='font-family:system-ui,sans-serif;margin:24px;max-width:1200px'>"
        f"<h1 style='font-size:20px'>{escape(title)}</h1>{body}{pictures}</body></html>"
    )


def _rate(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f}"


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
