"""What the commands share: options, and how JSON is printed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

# What `ask` and `batch` both take.
TaskOption = Annotated[str, typer.Option("--task", help="generate, summarize or translate.")]
From = Annotated[str | None, typer.Option("--from", help="Language of the code.")]
To = Annotated[str | None, typer.Option("--to", help="Language wanted.")]
Sources = Annotated[str | None, typer.Option(help="Search this corpus for sources.")]
HowMany = Annotated[int | None, typer.Option("--k", "-k", min=1, help="How many hits.")]
MaxTokens = Annotated[int | None, typer.Option(min=1)]
Temperature = Annotated[float | None, typer.Option(min=0)]
TopP = Annotated[float | None, typer.Option(min=0, max=1)]
Seed = Annotated[int | None, typer.Option()]
Budget = Annotated[
    float | None, typer.Option(min=0, help="USD that hosted backends may cost at most.")
]
Fallback = Annotated[
    str | None, typer.Option(help="A backend that answers, marked, where another one fails.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Ask anew what was answered before.")]


def given(**options: Any) -> dict[str, Any]:
    """Keep the options that were given, so that the verb's own defaults hold for the others."""
    return {name: value for name, value in options.items() if value is not None}


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2))
