"""What the lab found, as pictures. Plotly, so that a point says more when it is pointed at."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

from workbench.errors import BadInput
from workbench.plots import COLOURS, INK, go, layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.lab.records import ArmResult, Cost

CostName = Literal["query", "build", "vectors"]

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "cross")
_AXES = {
    "query": "milliseconds a query (median, log scale)",
    "build": "seconds to build the index (log scale)",
    "vectors": "megabytes of vectors",
}


def quality_against_cost(
    results: Sequence[ArmResult], metric: str, cost: CostName = "query"
) -> go.Figure:
    """Draw each arm as a point: what it finds upwards, what it costs to the right.

    Bars are the 95 % intervals. The line joins the arms that no other beats in both. Arms that
    failed, or whose cost is unknown, are named above the picture instead of being drawn.

    Raises:
        BadInput: no arm was measured by that metric.
    """
    drawn = [one for one in results if _cost(one.cost, cost) is not None and metric in one.means]
    if not drawn:
        raise BadInput(f"No arm has {metric} and a known cost by {cost}.", "Choose another cost.")
    embedders = list(dict.fromkeys(one.arm.embedder or "no embedder" for one in drawn))
    retrievers = list(dict.fromkeys(one.arm.retriever for one in drawn))
    figure = go.Figure()
    figure.add_trace(_front(drawn, metric, cost))
    for one in drawn:
        mean = one.means[metric]
        colour = COLOURS[embedders.index(one.arm.embedder or "no embedder") % len(COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[_cost(one.cost, cost)],
                y=[mean.mean],
                error_y={
                    "type": "data",
                    "array": [mean.high - mean.mean],
                    "arrayminus": [mean.mean - mean.low],
                    "thickness": 1.2,
                    "width": 4,
                },
                mode="markers+text",
                text=[one.arm.name],
                textposition=_place(one, drawn, metric, cost),
                textfont={"size": 12, "color": colour},
                marker={
                    "size": 11,
                    "color": colour,
                    "symbol": _SYMBOLS[retrievers.index(one.arm.retriever) % len(_SYMBOLS)],
                },
                hovertemplate=_told(one, metric),
                showlegend=False,
            )
        )
    figure.update_layout(layout(f"{metric} against cost", note=_missing(results, drawn)))
    figure.update_xaxes(
        title=_AXES[cost], type="linear" if cost == "vectors" else "log", dtick=None
    )
    figure.update_yaxes(title=f"{metric} (95 % interval)")
    return figure


def _cost(cost: Cost | None, name: CostName) -> float | None:
    if cost is None:
        return None
    if name == "query":
        return cost.query_median
    return cost.build_seconds if name == "build" else cost.vector_megabytes


def _front(drawn: Sequence[ArmResult], metric: str, cost: CostName) -> go.Scatter:
    """Return the line through the arms that are not beaten in cost and quality at once."""
    points = sorted((_cost(one.cost, cost) or 0.0, -one.means[metric].mean) for one in drawn)
    front: list[tuple[float, float]] = []
    for x, negative in points:
        if not front or -negative > front[-1][1]:
            front.append((x, -negative))
    return go.Scatter(
        x=[x for x, _ in front],
        y=[y for _, y in front],
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _place(one: ArmResult, drawn: Sequence[ArmResult], metric: str, cost: CostName) -> str:
    """Return where an arm's name goes: to the side where the picture goes on."""
    ordered = sorted(drawn, key=lambda other: _cost(other.cost, cost) or 0.0)
    return "middle right" if ordered.index(one) < len(ordered) / 2 else "middle left"


def _told(one: ArmResult, metric: str) -> str:
    """Return what a point says when it is pointed at."""
    lines = [f"<b>{one.arm.name}</b>"]
    for name, mean in one.means.items():
        text = f"{name} {mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f})"
        lines.append(f"<b>{text}</b>" if name == metric else text)
    if one.cost is not None:
        build = one.cost.build_seconds
        lines.append(f"{one.cost.query_median:.1f} ms a query, p95 {one.cost.query_p95:.1f}")
        lines.append(f"{one.cost.chunks:,} chunks, {one.cost.vector_megabytes:.1f} MB of vectors")
        lines.append("vectors were cached" if build is None else f"built in {build:.1f} s")
    return "<br>".join(lines) + "<extra></extra>"


def _missing(results: Sequence[ArmResult], drawn: Sequence[ArmResult]) -> str:
    names = [one.arm.name for one in results if one not in drawn]
    text = f"Not drawn (failed, or the cost is not known): {', '.join(names)}" if names else ""
    return "<br>".join(textwrap.wrap(text, 110)[:2])
