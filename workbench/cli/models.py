"""What models take of memory: ``workbench models memory``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import Json, print_json
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.backends import Fit


def memory(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Backends; all local ones without any."),
    ] = None,
    parameters: Annotated[
        str | None, typer.Option(help="Or a model by its size, as 7B or 7e9.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Its number type or kind of GGUF: bf16, 4bit, q4_k_m ...")
    ] = "bf16",
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens of context; WORKBENCH_CONTEXT_LENGTH.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Requests at once; WORKBENCH_SLOTS.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what models take of memory before they are loaded, and whether they fit here."""
    from workbench.backends import available, estimate, estimate_memory, fit
    from workbench.backends.memory import LOCAL, read_parameters
    from workbench.terminal.models import show_fits

    if parameters is not None and names:
        raise BadInput("Names and --parameters say two things.", "Give one of them.")
    if parameters is not None:
        size = read_parameters(parameters)
        made = [estimate(size, dtype, context_length=context, slots=slots or 1)]
    else:
        local = [
            row.name
            for row in available()
            if row.installed and not row.form and row.name.partition("/")[0] in LOCAL
        ]
        made = [
            estimate_memory(name, context_length=context, slots=slots) for name in names or local
        ]
    fits = [fit(one) for one in made]
    print_json([_plain(one) for one in fits]) if as_json else show_fits(fits)


def _plain(one: Fit) -> dict[str, Any]:
    return {
        **asdict(one.estimate),
        "total": one.estimate.total,
        "limit": one.limit,
        "fits": one.fits,
        "would_fit": list(one.ways),
    }
