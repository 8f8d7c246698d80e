"""How the scores of files look in a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from workbench.metrics.figures import Figure
    from workbench.metrics.files import FileScores, Scored


def show_file_scores(found: FileScores) -> None:
    """Print a row a metric, why answers were not judged, and the signatures."""
    console = Console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold", min_width=8)
    for name in ("figure", "95 % interval", "answers", "not judged"):
        table.add_column(name, justify="right")
    for one in found.metrics:
        table.add_row(one.figure.name, *_row(one.figure))
    console.print(table)
    if found.unanswered:
        console.print(f"{found.unanswered:,} references have no answer, and count for nothing.")
    for one in found.metrics:
        for why, count in _reasons(one).most_common():
            text = f"{one.figure.name}: {count:,} not judged: {why}"
            console.print(text, style="red", highlight=False, markup=False)
    for one in found.metrics:
        # In one piece each, so that they can be copied.
        console.print(one.signature, style="dim", highlight=False, markup=False, soft_wrap=True)


def _row(figure: Figure) -> tuple[str, str, str, str]:
    known = [one for one in (figure.value, figure.low, figure.high) if one is not None]
    # A share or a cosine has four digits behind the point, and so have the ends beside it.
    digits = 4 if all(abs(one) <= 1 for one in known) else 2
    value = "-" if figure.value is None else f"{figure.value:.{digits}f}"
    interval = "-"
    if figure.low is not None and figure.high is not None:
        interval = f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
    return value, interval, f"{figure.samples:,}", f"{figure.unjudged:,}"


def _reasons(one: Scored) -> Counter[str]:
    return Counter(score.detail for _, score in one.scores if score.value is None)
