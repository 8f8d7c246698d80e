"""The commands about money and speed: ``workbench cost ...`` and ``workbench throughput``."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import Json, given, print_json
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.cost import BreakEven

cost_app = typer.Typer(
    help="What answers cost, and from how many requests on an own GPU pays.",
    no_args_is_help=True,
)


@cost_app.command("run")
def cost_run(
    run: Annotated[str, typer.Argument(help="The id of a stored run, or 'last'.")],
    hourly: Annotated[
        float | None, typer.Option(min=0, help="USD that this machine costs an hour.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a stored run cost: each solver, an answer, a solved problem."""
    from workbench.cost import run_cost
    from workbench.terminal.cost import show_run_cost

    cost = run_cost(run, hourly_usd=hourly)
    typer.echo(cost.to_json()) if as_json else show_run_cost(cost)


@cost_app.command("break-even")
def cost_break_even(
    usd_per_request: Annotated[
        float | None, typer.Option("--api-usd-per-request", help="What the API takes a request.")
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="Or the backend whose price a token to take.")
    ] = None,
    input_tokens: Annotated[float | None, typer.Option(help="Tokens in of a request.")] = None,
    output_tokens: Annotated[float | None, typer.Option(help="Tokens out of a request.")] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Or the stored run whose requests to count, or 'last'."),
    ] = None,
    solver: Annotated[str | None, typer.Option(help="Only this solver's of the run.")] = None,
    usd_per_hour: Annotated[
        float | None, typer.Option("--gpu-usd-per-hour", help="What one GPU costs.")
    ] = None,
    gpus: Annotated[int, typer.Option(help="GPUs at the least; more are added by load.")] = 1,
    requests_per_hour_per_gpu: Annotated[
        float | None, typer.Option(help="What one GPU serves; without, there is no limit.")
    ] = None,
    throughput: Annotated[
        str | None, typer.Option(help="Or the backend measured here: workbench throughput.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="At so many at a time; default: the best.")
    ] = None,
    utilisation: Annotated[
        float, typer.Option(help="Share of that speed that traffic uses, as 0.6.")
    ] = 1.0,
    load: Annotated[float | None, typer.Option(help="A load to look at: requests an hour.")] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", help="How far an assumption may be off, NAME=LOW:HIGH; repeatable."
        ),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Show the worked example.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write it as a page with plots, too.")] = None,
    as_json: Json = False,
) -> None:
    """Reckon from how many requests an hour own GPUs cost less than an API."""
    if example:
        _example(throughput, html, as_json)
        return
    if usd_per_hour is None:
        raise BadInput("What does a GPU cost?", "Give --gpu-usd-per-hour 4.05, or see --example")
    from workbench.cost.assumptions import read_range
    from workbench.cost.cases import Case
    from workbench.terminal.cost import show_break_even

    case = Case(
        usd_per_hour=usd_per_hour,
        gpus=gpus,
        usd_per_request=usd_per_request,
        api=api,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        run=run,
        solver=solver,
        requests_per_hour_per_gpu=requests_per_hour_per_gpu,
        throughput=throughput,
        concurrency=concurrency,
        utilisation=utilisation,
    )
    one = case.break_even(load, dict(read_range(text) for text in ranges or ()))
    _write(one, html)
    typer.echo(one.to_json()) if as_json else show_break_even(one)


def _example(throughput: str | None, html: Path | None, as_json: bool) -> None:
    from workbench.cost.cases import worked_example
    from workbench.terminal.cost import show_example

    rows = worked_example(throughput)
    _write(rows[0][1], html)
    if as_json:
        print_json([{"case": title, **one.table()} for title, one in rows])
    else:
        show_example(rows)


def _write(one: BreakEven, html: Path | None) -> None:
    if html is not None:
        one.to_html(html)


@cost_app.command("prices")
def cost_prices(
    backends: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BACKEND]...", help="As openai/gpt-4o; those here without any."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what backends charge, whose price that is, and of when."""
    from workbench.backends import available
    from workbench.backends.prices import price_of
    from workbench.terminal.cost import show_prices

    names = backends or [row.name for row in available() if not row.form]
    prices = [(name, price_of(name)) for name in names]
    if as_json:
        print_json({name: None if price is None else asdict(price) for name, price in prices})
    else:
        show_prices(prices)


def throughput(
    backend: Annotated[str, typer.Argument(help="The backend to measure on this machine.")],
    concurrency: Annotated[
        list[int] | None,
        typer.Option("--concurrency", min=1, help="Requests at a time; repeatable: 1, 2, 4, 8."),
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests of each repeat. [16]")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer. [64]")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="For the interval. [3]")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Whatever it costs.")] = False,
    as_json: Json = False,
) -> None:
    """Measure requests and tokens a second of a backend here; a hosted one asks for its money."""
    from workbench import cost
    from workbench.terminal.cost import show_throughput

    options = given(
        concurrencies=concurrency, requests=requests, max_tokens=max_tokens, repeats=repeats
    )
    with closing(cost.throughput(backend, yes=yes, **options)) as states:
        *_, measured = states
    typer.echo(measured.to_json()) if as_json else show_throughput(measured)
    if any(point.errors for point in measured.points):
        raise typer.Exit(1)
