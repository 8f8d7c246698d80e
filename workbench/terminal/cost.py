"""How costs, break-evens and throughputs look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.cost import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.backends.prices import Price
    from workbench.cost import BreakEven, RunCost, Throughput


def show_run_cost(cost: RunCost) -> None:
    """Print what each solver cost: names as columns, as solvers are few and numbers many."""
    console = Console()
    table = _table(f"run {cost.run}" if cost.run else None)
    table.add_column("")
    rows = [words.cells(one) for one in cost.solvers]
    for cells in rows:
        table.add_column(cells[0], overflow="fold", justify="right")
    for at, title in enumerate(words.COLUMNS[1:], start=1):
        values = [cells[at] for cells in rows]
        if any(values):
            table.add_row(title, *values)
    console.print(table)
    for note in cost.notes:
        console.print(note, style="dim", highlight=False)


def show_break_even(one: BreakEven) -> None:
    """Print the result in words, what each assumption does to it, and where it comes from."""
    console = Console()
    console.print(Text(one.sentence, style="bold"))
    table = _table("one assumption moved at a time")
    for at, title in enumerate(words.SENSITIVITY):
        table.add_column(title, justify="right" if at else "left", overflow="fold")
    for cells in words.sensitivities(one):
        table.add_row(*cells)
    console.print(table)
    for source in one.sources:
        console.print(source, style="dim", highlight=False)


def show_example(rows: Sequence[tuple[str, BreakEven]]) -> None:
    """Print the worked example: the classic case, and what speed and utilisation do to it."""
    console = Console()
    classic = rows[0][1]
    console.print(*classic.sources, style="dim", highlight=False)
    console.print(Text(classic.sentence, style="bold"))
    table = _table("what speed and utilisation do to it")
    table.add_column("what a GPU serves", overflow="fold")
    for title in ("pays from", "for good from"):
        table.add_column(title, justify="right", no_wrap=True)
    for title, one in rows:
        crossover = one.crossover
        table.add_row(title, words.number(crossover.first), words.number(crossover.for_good))
    console.print(table)
    console.print("Requests an hour.", style="dim")
    if not any(title.startswith("measured") for title, _ in rows):
        hint = "Nothing was measured on this machine yet: workbench throughput BACKEND"
        console.print(hint, style="dim", highlight=False)


def show_prices(prices: Sequence[tuple[str, Price | None]]) -> None:
    """Print what backends charge, whose price that is, and of when."""
    console = Console()
    table = _table()
    for at, title in enumerate(("backend", "in", "out", "whose price", "date")):
        table.add_column(title, justify="right" if at in (1, 2) else "left", overflow="fold")
    for name, price in prices:
        if price is None:
            table.add_row(name, words.UNKNOWN, words.UNKNOWN, "", "")
        else:
            table.add_row(name, f"{price.input:g}", f"{price.output:g}", price.source, price.date)
    console.print(table)
    console.print("USD per million tokens.", style="dim")


def show_throughput(measured: Throughput) -> None:
    """Print what was measured, a row a concurrency."""
    console = Console()
    machine = measured.machine
    table = _table(f"{measured.backend} on {machine['processor']}")
    for title in words.POINTS:
        table.add_column(title, justify="right")
    for cells in words.points(measured.points):
        table.add_row(*cells)
    console.print(table)
    console.print(measured.note, style="dim", highlight=False)


def _table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
