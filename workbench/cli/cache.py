"""``workbench cache``: what the answer cache holds, and out with it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from workbench.cli.options import Json, print_json

cache_app = typer.Typer(help="Answers that were given once and are given again.")

Backend = Annotated[str | None, typer.Option("--backend", help="Only those of this backend.")]


@cache_app.command()
def info(as_json: Json = False) -> None:
    """Show how many answers are kept, of which backends, and what they saved."""
    from workbench.backends.cache import info as read
    from workbench.terminal.batch import show_cache

    found = read()
    if as_json:
        moments = {
            name: moment.isoformat() if (moment := getattr(found, name)) else None
            for name in ("oldest", "newest")
        }
        print_json({**asdict(found), "path": str(found.path), **moments})
    else:
        show_cache(found)


@cache_app.command()
def clear(
    backend: Backend = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Only those of so many days ago.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Throw answers away; they are asked for again."""
    from workbench.backends.cache import clear as remove

    age = None if older_than is None else timedelta(days=older_than)
    removed = remove(backend, age)
    print_json({"removed": removed}) if as_json else typer.echo(f"Removed {removed:,} answers.")
