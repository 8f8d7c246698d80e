"""How batches, their forecasts, and the answer cache look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from workbench.backends.prices import money

if TYPE_CHECKING:
    from workbench.backends.cache import CacheInfo


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
    table = _table("backend", "answers", "tokens in", "out", "given again", "saved")
    for share in info.backends:
        table.add_row(
            share.backend,
            f"{share.entries:,}",
            f"{share.input_tokens:,}",
            f"{share.output_tokens:,}",
            f"{share.hits:,}",
            money(share.saved),
        )
    console.print(table)


def _table(first: str, *figures: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right")
    return table
