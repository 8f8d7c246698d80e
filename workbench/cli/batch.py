"""``workbench batch``: many prompts to several backends."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    Budget,
    Fallback,
    From,
    HowMany,
    Json,
    MaxTokens,
    NoCache,
    Seed,
    Sources,
    TaskOption,
    Temperature,
    To,
    TopP,
    given,
)

if TYPE_CHECKING:
    from workbench.batch import Batch, Preflight
    from workbench.spec import RunSpec


def batch(
    prompts: Annotated[
        Path, typer.Argument(help="A text file, one prompt a line; or .jsonl with id, text, task.")
    ],
    backend: Annotated[
        list[str] | None, typer.Option("--backend", "-b", help="Repeat for more of them.")
    ] = None,
    task: TaskOption = "generate",
    source: From = None,
    target: To = None,
    corpus: Sources = None,
    k: HowMany = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, help="Answers to each prompt.")
    ] = 1,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    budget: Budget = None,
    fallback: Fallback = None,
    no_cache: NoCache = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin anew where this batch was begun before.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask what it may cost.")] = False,
    as_json: Json = False,
) -> None:
    """Put many prompts to several backends. The same command goes on where it was stopped."""
    from workbench.spec import DEFAULT_BACKEND, RunSpec, panes
    from workbench.terminal.batch import show_batch

    sampling = given(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    spec = RunSpec(
        task=task,  # type: ignore[arg-type]  # RunSpec.check names the right ones
        language=source,
        target_language=target,
        panes=panes(backend or [DEFAULT_BACKEND]),
        corpus=corpus,
        params=tuple(sampling.items()),
        budget=budget,
        fallback=fallback,
        cache=not no_cache,
        **given(k=k),
    )
    done = _run(prompts, spec, samples=samples, again=again, yes=yes)
    typer.echo(done.to_json()) if as_json else show_batch(done)
    if done.errors:
        raise typer.Exit(1)


def _run(prompts: Path, spec: RunSpec, *, samples: int, again: bool, yes: bool) -> Batch:
    from workbench.batch import finish, run_prompts
    from workbench.terminal.batch import show_preflight

    confirm = (lambda _: True) if yes else _confirm if sys.stdin.isatty() else None
    progress = run_prompts(prompts, spec, samples=samples, again=again, confirm=confirm)
    # Closed also when the person presses Ctrl-C: the models stop, and what was answered is stored.
    with closing(progress):
        show_preflight(next(progress).preflight)
        return finish(progress)


def _confirm(flight: Preflight) -> bool:
    from workbench.settings import settings

    objection = flight.objection(settings().ask_above)
    return typer.confirm(f"{objection} Run it?", err=True)
