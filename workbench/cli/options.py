"""What the commands share: options, and how JSON is printed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def given(**options: Any) -> dict[str, Any]:
    """Keep the options that were given, so that the verb's own defaults hold for the others."""
    return {name: value for name, value in options.items() if value is not None}


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2))
