"""``workbench evaluate``, ``rescore``, ``replay`` and ``record``: solvers over whole suites."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import (
    Budget,
    Fallback,
    HowMany,
    Json,
    MaxTokens,
    NoCache,
    Seed,
    Sources,
    Temperature,
    TopP,
    given,
    print_json,
)
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.batch import Preflight
    from workbench.evaluation import Evaluation, EvaluationProgress, EvaluationSpec

Again = Annotated[bool, typer.Option("--again", help="Begin anew where this was begun before.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask what it may cost.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", help="Repeatable; default: the suite's own."),
]
Embedders = Annotated[
    list[str] | None, typer.Option("--embedder", help="One more solver a backend; repeatable.")
]
Writer = Annotated[
    str | None, typer.Option(help="The backend that writes code for the metric 'round trip'.")
]


def evaluate(
    spec: Annotated[
        Path | None, typer.Argument(metavar="[SPEC.toml]", help="A file of the options below.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="See: workbench suites list")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", "-b", help="Repeat for more of them.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many problems at most.")] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", "-n", min=1, help="Answers to each problem.")
    ] = None,
    metric: Metrics = None,
    corpus: Sources = None,
    embedder: Embedders = None,
    retriever: Annotated[
        str | None, typer.Option(help="bm25, dense or hybrid; +cross-encoder/ID reranks.")
    ] = None,
    chunker: Annotated[str | None, typer.Option(help="syntax (default), recursive or lines.")] = (
        None
    ),
    k: HowMany = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            help="Suite whose solutions are left out of the corpus; default: this one's. 'none'"
            " leaves in everything."
        ),
    ] = None,
    plain: Annotated[
        bool | None, typer.Option("--plain/--no-plain", help="With a corpus: also without it.")
    ] = None,
    oracle: Annotated[
        bool | None,
        typer.Option("--oracle/--no-oracle", help="Also with the hits for the answer key."),
    ] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    budget: Budget = None,
    fallback: Fallback = None,
    writer: Writer = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Calls of a solver at once.")] = None,
    no_cache: NoCache = False,
    again: Again = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put a suite of problems to solvers, and score the answers.

    The same command goes on where it was stopped; with further backends, embedders, samples or
    metrics it does what is new.
    """
    from workbench.evaluation import evaluate_spec

    sampling = given(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    options = given(
        suite=suite,
        backends=_tuple(backend),
        limit=limit,
        samples=samples,
        metrics=_tuple(metric),
        corpus=corpus,
        embedders=_tuple(embedder),
        retriever=retriever,
        chunker=chunker,
        k=k,
        exclude=exclude,
        plain=plain,
        oracle=oracle,
        budget=budget,
        fallback=fallback,
        writer=writer,
        workers=workers,
        cache=False if no_cache else None,
    )
    asked = _asked(spec, options, sampling)
    confirm = (lambda _: True) if yes else _confirm if sys.stdin.isatty() else None
    _finish(evaluate_spec(asked, again=again, confirm=confirm), as_json)


def rescore(
    run: Annotated[str, typer.Argument(help="A stored evaluation, or last.")],
    metric: Metrics = None,
    embedder: Annotated[str | None, typer.Option(help="What measures similarity.")] = None,
    writer: Writer = None,
    again: Annotated[
        bool, typer.Option("--again", help="Judge anew what was judged before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score stored answers by further metrics, or again; no model is asked."""
    from workbench.evaluation import rescore as rescored

    names = tuple(metric or ())
    _finish(rescored(run, names, embedder=embedder, writer=writer, again=again), as_json)


def replay(
    run: Annotated[str, typer.Argument(help="A stored evaluation, or last.")],
    cache: Annotated[
        bool, typer.Option("--cache", help="Take answers from the cache where it has them.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Run a stored evaluation once more, and tell which answers, scores and versions differ."""
    from workbench.evaluation import replay_run
    from workbench.terminal.evaluate import show_replayed

    confirm = (lambda _: True) if yes else _confirm if sys.stdin.isatty() else None
    replayed = replay_run(run, cache=cache, confirm=confirm)
    print_json(asdict(replayed)) if as_json else show_replayed(replayed)


def record(
    run: Annotated[str, typer.Argument(help="A stored evaluation, or last.")],
    file: Annotated[Path, typer.Argument(help="Where to write it: FILE.jsonl or FILE.jsonl.gz.")],
) -> None:
    """Write a run's answers into a recording, without the suite's texts: replay/FILE gives them."""
    from workbench.evaluation import record_run

    count = record_run(run, file)
    typer.echo(f"{count:,} answers in {file} ({file.stat().st_size:,} bytes).", err=True)


def _asked(file: Path | None, options: dict[str, Any], sampling: dict[str, Any]) -> EvaluationSpec:
    from workbench.evaluation import EvaluationSpec

    if file is None:
        if "suite" not in options:
            raise BadInput("Which suite?", "Name one: workbench evaluate --suite humaneval")
        return EvaluationSpec(**options, params=sampling or None)
    spec = EvaluationSpec.read(file)
    return replace(spec, **options, params={**spec.sampling, **sampling} or None)


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return tuple(names) if names else None


def _finish(progress: Generator[EvaluationProgress], as_json: bool) -> None:
    from workbench.evaluation import finish
    from workbench.terminal.evaluate import show_evaluation, show_forecast

    # Closed also when the person presses Ctrl-C: what was finished is stored.
    try:
        with closing(progress):
            show_forecast(next(progress))
            done: Evaluation = finish(progress)
    except KeyboardInterrupt:
        typer.echo("What was finished is stored; the same command goes on.", err=True)
        raise
    typer.echo(done.to_json()) if as_json else show_evaluation(done)
    if done.errors:
        raise typer.Exit(1)


def _confirm(flight: Preflight) -> bool:
    from workbench.settings import settings

    objection = flight.objection(settings().ask_above)
    return typer.confirm(f"{objection} Run it?", err=True)
