"""How batches, their forecasts, and the answer cache look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from workbench.backends.prices import money
from workbench.batch import forecast, records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.backends.cache import CacheInfo
    from workbench.batch import Batch, Preflight


def show_preflight(flight: Preflight) -> None:
    """Print what a batch will take, solver by solver, and where the figures come from."""
    console = Console(stderr=True)
    rows = ((one.solver, *forecast.row(one)) for one in flight.forecasts)
    console.print(_table(("solver", *forecast.COLUMNS), rows))
    for line in flight.basis:
        console.print(f"- {line}", style="dim", highlight=False)
    console.print(str(flight), highlight=False)


def show_batch(batch: Batch) -> None:
    """Print what a batch came to, and why answers are missing."""
    console = Console()
    rows = ((one.solver, *records.row(one)) for one in batch.summary)
    console.print(_table(("solver", *records.COLUMNS), rows))
    failed: dict[str, dict[str, None]] = {}
    for result in batch.results:
        if result.error is not None:
            failed.setdefault(f"{result.solver}: {result.error}", {})[result.question_id] = None
    for error, names in failed.items():
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        console.print(f"{', '.join([*names][:3])}{more}: {error}", style="red", highlight=False)
    console.print(f"Stored as run {batch.run}.", style="dim", highlight=False)


def show_cache(info: CacheInfo) -> None:
    """Print what the answer cache holds, by backend."""
    console = Console()
    if not info.entries:
        console.print(f"The answer cache is empty ({info.path}).", highlight=False)
        return
    console.print(
        f"{info.entries:,} answers, {info.bytes / 1e6:.1f} MB, from {info.oldest:%Y-%m-%d} to"
        f" {info.newest:%Y-%m-%d} ({info.path})",
        highlight=False,
    )
    rows = (
        (
            share.backend,
            f"{share.entries:,}",
            f"{share.input_tokens:,}",
            f"{share.output_tokens:,}",
            f"{share.hits:,}",
            money(share.saved),
        )
        for share in info.backends
    )
    console.print(_table(("backend", "answers", "tokens in", "out", "given again", "saved"), rows))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    """Return a table of names in the first column and figures in the others."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(head[0], overflow="fold", min_width=12)
    for name in head[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
