"""``workbench report`` and ``workbench compare``: what stored evaluations found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import Json

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Its id, or 'last'.")]


def report(
    run: RunName,
    html: Annotated[Path | None, typer.Option(help="Write the whole report as one page.")] = None,
    notebook: Annotated[
        Path | None, typer.Option(help="Write a notebook that shows it again.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the table as Parquet.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the table as LaTeX.")] = None,
    table: Annotated[
        str, typer.Option(help="Which table: leaderboard, pairs, splits or results.")
    ] = "leaderboard",
    as_json: Json = False,
) -> None:
    """Show what an evaluation found: figures, verdicts, the retrieval effect; or write it down."""
    from workbench.evaluation.notebook import write_notebook
    from workbench.evaluation.page import write_page
    from workbench.evaluation.report import open_report
    from workbench.evaluation.tables import table as make
    from workbench.evaluation.tables import write_table
    from workbench.terminal.report import show_report

    found = open_report(run)
    tables = {csv: ".csv", parquet: ".parquet", markdown: ".md", latex: ".tex"}
    written = [
        write_table(found, table, path, form) for path, form in tables.items() if path is not None
    ]
    if html is not None:
        written.append(write_page(found, html))
    if notebook is not None:
        written.append(write_notebook(found, notebook))
    if as_json:
        typer.echo(make(found, table).to_json(orient="records", indent=2))
    else:
        show_report(found)
    for path in written:
        typer.echo(f"Written: {path}", err=True)


def compare(
    run: RunName,
    a: Annotated[str | None, typer.Option("--a", help="A solver; default: the first two.")] = None,
    b: Annotated[str | None, typer.Option("--b", help="The other one.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", help="Default: the leading one.")
    ] = None,
    flips: Annotated[int, typer.Option(min=0, help="Flips to show with both answers.")] = 3,
    as_json: Json = False,
) -> None:
    """Compare two solvers of an evaluation on the same questions, and show where they part ways."""
    from workbench.evaluation.report import open_report
    from workbench.terminal.report import pair_json, show_pair

    found = open_report(run)
    pair = found.compare(a, b, metric)
    typer.echo(pair_json(pair)) if as_json else show_pair(found, pair, flips)
