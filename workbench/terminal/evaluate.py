"""How evaluations, replays and graded samples look in a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from workbench.backends.prices import money
from workbench.terminal.batch import show_preflight

if TYPE_CHECKING:
    from workbench.evaluation import Evaluation, EvaluationProgress
    from workbench.evaluation.records import Figure
    from workbench.evaluation.replaying import Replayed
    from workbench.evaluation.samples import SamplesReport

_SHOWN = 10


def show_forecast(progress: EvaluationProgress) -> None:
    """Print what an evaluation will take, and what is there already."""
    if progress.preflight is not None and progress.preflight.calls:
        show_preflight(progress.preflight)
    elif progress.done < progress.total:
        left = progress.total - progress.done
        Console(stderr=True).print(f"{left:,} stored answers to score.", highlight=False)


def show_evaluation(done: Evaluation) -> None:
    """Print each solver's figures with their intervals, what was published, and what is amiss."""
    console = Console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("solver", overflow="fold")
    for name in ("figure (95 % interval)", "answered", "errors", "not\njudged", "spent"):
        table.add_column(name, justify="right", no_wrap=True)
    for counts in done.counts:
        told = (f"{counts.answered:,}", f"{counts.errors:,}", "", money(counts.usd))
        table.add_row(counts.solver, "", *told)
        for one in (*_figures(done, counts.solver), *done.chances(counts.solver)):
            unjudged = one.unjudged + one.missing
            table.add_row(f"  {one.metric}", str(one), "", "", f"{unjudged:,}" if unjudged else "")
    console.print(table)
    for one in done.summary:
        if gap := done.gap(one):
            console.print(gap, highlight=False)
    for line in done.warnings:
        console.print(f"- {line}", style="dim", highlight=False)
    for error, count in Counter(one.error for one in done.results if one.error).most_common(3):
        console.print(f"{count:,} x {error}", style="red", highlight=False)
    console.print(
        f"Stored as run {done.run}. See: workbench report {done.run}", style="dim", highlight=False
    )


def _figures(done: Evaluation, solver: str) -> list[Figure]:
    return [done.figure(solver, metric.name) for metric in done.metrics]


def show_replayed(replayed: Replayed) -> None:
    """Print what differs between a run and its replay."""
    console = Console()
    console.print(str(replayed), highlight=False)
    for one in replayed.differences[:_SHOWN]:
        console.print(f"- {one}", highlight=False)
    if len(replayed.differences) > _SHOWN:
        console.print(f"and {len(replayed.differences) - _SHOWN:,} more", style="dim")
    for name, (before, now) in replayed.surroundings.items():
        console.print(f"{name}: {before} then, {now} now", style="dim", highlight=False)


def show_samples(report: SamplesReport) -> None:
    """Print the figures of a file of samples, and how many came to which verdict."""
    console = Console()
    for one in report.figures:
        value = "not judged" if one.value is None else f"{one.value:.3f}"
        ends = "" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})"
        noun = "problem" if one.questions == 1 else "problems"
        console.print(f"{one.name} {value}{ends}, {one.questions:,} {noun}", highlight=False)
    for verdict, count in report.verdicts.items():
        console.print(f"{count:>7,}  {verdict}", highlight=False)
    if report.missing:
        few = ", ".join(report.missing[:3])
        console.print(f"{len(report.missing):,} problems have no sample: {few}", style="yellow")
