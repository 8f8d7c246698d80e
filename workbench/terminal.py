"""How records look in a terminal."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from workbench.comparison import status_line
from workbench.languages import find_language

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from workbench.comparison import Column, Comparison
    from workbench.corpus import Corpus
    from workbench.doctor import MenuRow
    from workbench.types import Hit

# Redrawing a screen of columns costs more than a token: a few times a second is what eyes need.
_REDRAWS_A_SECOND = 8


def watch_live(comparisons: Generator[Comparison]) -> Comparison:
    """Show the columns while they fill, and return the finished comparison."""
    console = Console()
    comparison: Comparison | None = None
    drawn = 0.0
    # Closed also when the person presses Ctrl-C: the models stop and what came is stored.
    with (
        closing(comparisons),
        Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live,
    ):
        for comparison in comparisons:
            if time.monotonic() - drawn > 1 / _REDRAWS_A_SECOND:
                live.update(_table(comparison), refresh=True)
                drawn = time.monotonic()
        live.update(Text(), refresh=True)
    assert comparison is not None, "a stream yields at least once"
    show_comparison(comparison)
    return comparison


def show_comparison(comparison: Comparison) -> None:
    """Print the columns side by side, then the sources."""
    console = Console()
    console.print(_table(comparison))
    sources = {hit.chunk.location: hit for column in comparison for hit in column.hits}
    if sources:
        ranked = sorted(sources.values(), key=lambda hit: hit.rank)
        lines = [f"{hit.rank}. {hit.chunk.location} {hit.chunk.symbol or ''}" for hit in ranked]
        console.print("Sources", *lines, sep="\n  ", style="dim", highlight=False)
    left_out = {hit.chunk.location for column in comparison for hit in column.left_out}
    if left_out:
        console.print(f"Left out (no room in the context): {', '.join(sorted(left_out))}")
    if comparison.run:
        console.print(f"Stored as run {comparison.run}.", style="dim", highlight=False)


def _table(comparison: Comparison) -> Table:
    table = Table(expand=True, show_lines=True)
    for column in comparison:
        table.add_column(column.solver, overflow="fold", ratio=1, vertical="top")
    table.add_row(*(Text(status_line(column), style="dim") for column in comparison))
    table.add_row(*(_body(column) for column in comparison))
    return table


def _body(column: Column) -> RenderableType:
    parts: list[RenderableType] = []
    if column.answer is not None and column.answer.text:
        parts.append(_code(column.answer.text, column.answer.language))
    elif column.answer is not None:
        parts.append(Text("No answer could be extracted from what came back:", style="red"))
        parts.append(Text(column.answer.raw))
    elif column.text:
        parts.append(Text(column.text))
    if column.error:
        parts.append(Text(column.error, style="red"))
    return Group(*parts)


def _code(text: str, language: str | None) -> RenderableType:
    known = find_language(language) if language else None
    if known is None:
        return Text(text)
    return Syntax(text, known.lexer, theme="ansi_dark", word_wrap=True, background_color="default")


def show_corpus(corpus: Corpus) -> None:
    """Print what a crawl read and what it left out."""
    report = corpus.report()
    skipped = ", ".join(f"{count} {reason}" for reason, count in report.skipped.items()) or "none"
    Console().print(
        f"{corpus.name}: {report.read:,} documents, {report.bytes / 1e6:.1f} MB"
        f"{' (unchanged)' if corpus.unchanged else ''}; skipped: {skipped}",
        highlight=False,
    )


def show_hits(hits: Sequence[Hit]) -> None:
    """Print hits with their code, best first."""
    console = Console()
    if not hits:
        console.print("Nothing found.")
    for hit in hits:
        chunk = hit.chunk
        symbol = f" {chunk.symbol}" if chunk.symbol else ""
        console.print(
            Text(f"{hit.rank}. {chunk.location}{symbol}", style="bold"),
            Text(f"score {hit.score:.3f}", style="dim"),
        )
        console.print(_code(chunk.text, chunk.language))
        console.print()


def show_menu(rows: Sequence[MenuRow]) -> None:
    """Print the backends and embedders as a table."""
    table = Table("kind", "name", "here", "needs", "what it is")
    for row in rows:
        here = "-" if row.form else "yes" if row.here else "no"
        table.add_row(row.kind, row.name, here, row.needs, row.summary)
    Console().print(table)


def show_doctor(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the facts, one table a group."""
    console = Console()
    for group, values in facts.items():
        values = values or {"none yet": None}
        table = Table(title=group, title_justify="left", show_header=False, box=None)
        for name, value in values.items():
            table.add_row(f"  {name}", Text("-" if value in (None, [], "") else str(value)))
        console.print(table)
