"""The commands about problem sets: ``workbench suites list | show | check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from workbench.cli.options import Json, print_json

suites_app = typer.Typer(
    help="Problem sets: what there is, what is in them, and whether they are right.",
    no_args_is_help=True,
)

Limit = Annotated[
    int | None, typer.Option(min=1, help="Only so many examples, evenly spread over the suite.")
]


@suites_app.command("list")
def suites_list(as_json: Json = False) -> None:
    """Show the suites, what each needs, and whether that is here. Asks no network."""
    from workbench.suites import RETRIEVAL_SUITES
    from workbench.suites.whereabouts import whereabouts
    from workbench.terminal.suites import show_menu

    rows = whereabouts()
    if as_json:
        retrieval = [{"name": one.name, "summary": one.summary} for one in RETRIEVAL_SUITES]
        print_json({"problems": [asdict(row) for row in rows], "retrieval": retrieval})
    else:
        show_menu(rows, list(RETRIEVAL_SUITES))


@suites_app.command("show")
def suites_show(
    name: Annotated[str, typer.Argument(help="As humaneval, xlcost:program, or your file.")],
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One problem, with its answer key.")
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show what a suite is made of, or one of its problems; 'file' shows the form of your own."""
    from workbench.suites import load_problems
    from workbench.suites.problems import describe, example_called
    from workbench.terminal.suites import show_example, show_form, show_suite

    if name == "file" and id_ is None:
        show_form()
        return
    suite = load_problems(name, limit=limit)
    if id_ is not None:
        example = example_called(suite, id_)
        print_json(asdict(example)) if as_json else show_example(example)
    elif as_json:
        print_json(describe(suite))
    else:
        show_suite(suite)


@suites_app.command("check")
def suites_check(
    name: Annotated[str, typer.Argument(help="As humaneval, xlcost:program, or your file.")],
    limit: Limit = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs that run at once.")] = None,
    as_json: Json = False,
) -> None:
    """Grade every reference solution, and report those that fail their own tests."""
    from workbench.sandbox import Grader
    from workbench.suites import load_problems
    from workbench.suites.checking import check_suite, solutions
    from workbench.terminal.suites import show_check

    suite = load_problems(name, limit=limit)
    if any(solutions(suite.examples)):
        with Grader(workers) as grader:
            report = check_suite(suite, grader)
    else:
        report = check_suite(suite)
    if as_json:
        print_json({**asdict(report), "passed": report.passed, "sound": report.is_sound})
    else:
        show_check(report)
    if not report.is_sound:
        raise typer.Exit(1)
