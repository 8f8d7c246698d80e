"""How records look in a terminal."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from workbench.comparison import status_line
from workbench.languages import find_language
from workbench.metrics.ranking import METRICS
from workbench.report import sent_facts

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from workbench.comparison import Column, Comparison
    from workbench.corpus import Corpus
    from workbench.corpus.contamination import Contamination
    from workbench.doctor import MenuRow
    from workbench.lab import Inspection, RetrievalReport
    from workbench.lab.tuning import TuningReport
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


def show_sent(comparison: Comparison) -> None:
    """Print for each answer what was sent, and what decided it."""
    console = Console()
    for column in comparison:
        console.rule(Text(column.solver), align="left")
        for step in column.steps:
            facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
            rule = column.answer.rule if column.answer else None
            for name, value in sent_facts(step, rule).items():
                facts.add_row(Text(name, style="dim"), Text(value))
            console.print(facts)
            sent = step.completion.sent
            if sent is not None and sent.text is not None:
                console.print(Text(sent.text), soft_wrap=True)
                continue
            for message in step.prompt.messages if sent is None else sent.messages:
                console.print(Text(f"{message.role}:", style="dim"))
                console.print(Text(message.content), soft_wrap=True)


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
    """Print what a crawl read, what it left out, and what it changed."""
    report = corpus.report()
    lines = [
        f"{corpus.name}: {report.read:,} documents, {report.bytes / 1e6:.1f} MB"
        f"{' (unchanged)' if corpus.unchanged else ''}; skipped: {_counts(report.skipped)}"
    ]
    if report.changed:
        lines.append(f"changed: {_counts(report.changed)}")
    lines.append(f"licences: {_counts(report.licences)}")
    if report.is_cut:
        lines.append("The corpus is cut: a cap ended the crawl.")
    Console().print(*lines, sep="\n", highlight=False)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def show_retrieval_report(report: RetrievalReport) -> None:
    """Print the arms with their intervals and costs, best first, then the verdicts."""
    console = Console()
    table = Table(title=report.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("arm", overflow="fold", min_width=14)
    others = [metric for metric in METRICS if metric != report.metric]
    short = [metric.replace("recall", "R") for metric in others]
    for name in (report.metric, "95 %", *short, "build s", "MB", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.ranked:
        if one.error is not None or one.cost is None:
            table.add_row(one.arm.name, Text(f"failed: {one.error}", style="red"))
            continue
        mean = one.means[report.metric]
        build = one.cost.build_seconds
        table.add_row(
            one.arm.name,
            f"{mean.mean:.3f}",
            f"{mean.low:.3f} to {mean.high:.3f}",
            *(f"{one.means[metric].mean:.3f}" for metric in others),
            "cached" if build is None else f"{build:.1f}",
            f"{one.cost.vector_megabytes:.1f}",
            f"{one.cost.query_median:.1f}",
        )
    console.print(table)
    for verdict in report.verdicts:
        console.print(f"- {verdict.sentence}", highlight=False)
    console.print(report.note, style="dim", highlight=False)


def show_inspection(inspection: Inspection) -> None:
    """Print what each arm found for one query: right hits marked, and what misled it."""
    console = Console()
    console.print(Text(inspection.query, style="bold"))
    for unit, text in inspection.answers.items():
        console.print(Text(f"What was asked for: {unit}", style="dim"), _code(text, "python"))
    for found in inspection.found:
        table = Table(title=found.arm.name, title_justify="left", box=None)
        if found.error is not None:
            console.print(Text(f"{found.arm.name}: {found.error}", style="red"))
            continue
        for name in ("", "rank", "score", "where"):
            table.add_column(name, overflow="fold")
        for hit, right in zip(found.hits, found.right, strict=True):
            where = f"{hit.chunk.location} {hit.chunk.symbol or ''}"
            table.add_row("right" if right else "", str(hit.rank), f"{hit.score:.3f}", where)
        console.print(table)
        if inspection.query_id is not None:
            rank = f"at rank {found.rank}" if found.rank else f"not among {found.depth:,}"
            console.print(f"right one {rank}", style="dim", highlight=False)
        if found.words:
            words = ", ".join(
                f"{word} {wrong:+.2f}/{right:+.2f}" for word, wrong, right in found.words
            )
            console.print(f"misled by (wrong/right): {words}", style="dim", highlight=False)


def show_tuning(tuned: TuningReport) -> None:
    """Print what was tuned, and how the new embedder does beside its base."""
    console = Console()
    console.print(str(tuned), highlight=False)
    for report in tuned.reports:
        show_retrieval_report(report)


def show_contamination(found: Contamination) -> None:
    """Print which solutions stand in the corpus, and where."""
    console = Console()
    console.print(found.summary, highlight=False)
    table = Table("solution", "kind", "share", "where")
    for match in found.matches:
        table.add_row(match.solution, match.kind, f"{match.share:.0%}", match.location)
    if found.matches:
        console.print(table)


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
