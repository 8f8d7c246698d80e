"""A picture of what models take of memory beside what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.backends.memory import GIB, PARTS, gib
from workbench.plots import COLOURS, INK, go, layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.backends.memory import MemoryEstimate


def memory_figure(estimates: Sequence[MemoryEstimate], limits: Mapping[str, int]) -> Any:
    """Draw each estimate as a bar of its parts, with a line for what each device has, in bytes."""
    names = [one.name for one in estimates]
    figure = go.Figure()
    for part, colour in zip(PARTS, COLOURS, strict=False):
        sizes = [dict(one.rows).get(part, 0) for one in estimates]
        figure.add_bar(
            y=names,
            x=[size / GIB for size in sizes],
            name=part,
            orientation="h",
            marker_color=colour,
            customdata=[gib(size) for size in sizes],
            hovertemplate=f"{part}: %{{customdata}}<extra>%{{y}}</extra>",
        )
    most = max([*(one.total for one in estimates), *limits.values()], default=GIB) / GIB
    for number, (device, limit) in enumerate(limits.items()):
        figure.add_vline(
            x=limit / GIB,
            line_dash="dash",
            line_color=INK,
            annotation_text=f"{device}: {gib(limit)}",
            annotation_position="top",
            # Towards the middle, where there is room for it, and each above the one before.
            annotation_xanchor="right" if limit / GIB > most / 2 else "left",
            annotation_yshift=14 * number,
        )
    look = layout("Memory, GiB")
    figure.update_layout(
        **{
            **look,
            "barmode": "stack",
            "height": 200 + 44 * len(names),
            "margin": {"l": 10, "r": 24, "t": 74, "b": 96},
            "bargap": 0.35,
            # Below the axis, or it would lie on the names of the lines on a narrow page.
            "legend": {"orientation": "h", "y": -0.42, "x": 0, "traceorder": "normal"},
        }
    )
    figure.update_xaxes(range=[0, most * 1.15])
    figure.update_yaxes(autorange="reversed")
    return figure
