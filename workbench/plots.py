"""How all pictures of the workbench look. Plotly, so that a point says more when pointed at."""

from __future__ import annotations

from workbench.errors import MissingExtra

try:
    import plotly.graph_objects as go
except ModuleNotFoundError as error:  # pragma: no cover - only without the extra
    raise MissingExtra("A figure", "plots") from error

__all__ = ["COLOURS", "INK", "go", "layout"]

# After Okabe and Ito: people who see few colours tell these apart, too. The blue is lighter than
# theirs, as it must also be seen on black.
COLOURS = (
    "#1F8FD0",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D31",
    "#7F7F7F",
)
# Legible on white and on black alike: the page may be either.
INK = "#808890"
_GRID = "rgba(128,136,144,0.25)"


def layout(title: str, *, note: str = "") -> dict[str, object]:
    """Return what all pictures share: no background, ink that shows on white and black."""
    axis = {"gridcolor": _GRID, "linecolor": _GRID, "zerolinecolor": _GRID, "automargin": True}
    return {
        "title": {"text": title, "font": {"size": 15}, "x": 0, "subtitle": {"text": note}},
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "ui-sans-serif, system-ui, sans-serif", "size": 12, "color": INK},
        "margin": {"l": 60, "r": 24, "t": 72 if note else 48, "b": 60},
        "height": 460,
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {"align": "left"},
    }
