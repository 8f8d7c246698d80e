"""How the memory that models take looks in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.backends.memory import PARTS, gib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.backends import Fit


def show_fits(fits: Sequence[Fit]) -> None:
    """Print what each model takes, by parts, beside what there is."""
    console = Console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold", min_width=14)
    for title in ("weights", "keys", "compute", "runtime", "all", "fits"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in fits:
        parts = dict(one.estimate.rows)
        sizes = [parts.get(part, 0) for part in PARTS]
        table.add_row(
            _title(one),
            *(gib(size) for size in sizes),
            Text(gib(one.estimate.total), style="bold"),
            Text("yes", style="green") if one.fits else Text("no", style="red"),
        )
    console.print(table)
    for device, limit in {one.estimate.device: one.limit for one in fits}.items():
        console.print(f"Models may take {gib(limit)} together ({device}).", highlight=False)
    for one in fits:
        if not one.fits:
            console.print(f"{one.estimate.name} {one.verdict}.", style="red", highlight=False)
        for note in one.estimate.notes:
            console.print(f"{one.estimate.name}: {note}", style="dim", highlight=False)


def _title(one: Fit) -> Text:
    about = one.estimate
    size = f"{about.slots} x {about.context_length:,} tokens"
    return Text(about.name + "\n").append(size, style="dim")
