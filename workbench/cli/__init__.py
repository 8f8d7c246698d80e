"""The commands. Each one reads its options, calls one verb and shows what comes back."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import sys
import traceback
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbench.cli.batch import batch
from workbench.cli.cache import cache_app
from workbench.cli.cost import cost_app, throughput
from workbench.cli.evaluate import evaluate, record, replay, rescore
from workbench.cli.grade import grade
from workbench.cli.metric import metric
from workbench.cli.models import memory
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
    print_json,
)
from workbench.cli.report import compare, report
from workbench.cli.serve import serve
from workbench.cli.suites import suites_app
from workbench.errors import BadInput, MissingExtra, WorkbenchError
from workbench.keys import ScrubbedFormatter, public

# Everything heavier is imported inside the command that needs it: `--help` stays quick.
if TYPE_CHECKING:
    from workbench.comparison import Comparison
    from workbench.spec import RunSpec

app = typer.Typer(
    name="workbench",
    help="Compare code language models side by side: generate, summarize and translate code.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="What can answer here, and what it needs.", no_args_is_help=False)
app.add_typer(models_app, name="models")
app.add_typer(cost_app, name="cost")
app.add_typer(cache_app, name="cache")
app.add_typer(suites_app, name="suites")

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

EmbedderName = Annotated[
    str | None,
    typer.Option("--embedder", help="Default: static to index, the one indexed last to search."),
]
ChunkerName = Annotated[
    str | None, typer.Option("--chunker", help="syntax (default), recursive or lines.")
]
RetrieverName = Annotated[
    str | None,
    typer.Option("--retriever", help="bm25, dense or hybrid; +cross-encoder/ID reranks."),
]
Exclude = Annotated[
    str | None,
    typer.Option(help="Leave out chunks that hold a solution of this suite: humaneval, mbpp, ..."),
]
Languages = Annotated[
    list[str] | None, typer.Option("--language", help="Only code in it; repeatable.")
]
Licences = Annotated[
    list[str] | None, typer.Option("--licence", help="Only code under it (SPDX); repeatable.")
]
Paths = Annotated[
    list[str] | None, typer.Option("--path", help="Only files that match, as 'json/*'; repeatable.")
]


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show log and tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    """Compare code language models side by side: generate, summarize and translate code."""


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show machine, GPU, toolchains, keys present, packages, caches, models and corpora."""
    from workbench.doctor import examine
    from workbench.terminal import show_doctor

    facts = examine()
    print_json(facts) if as_json else show_doctor(facts)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List what can answer and embed here; `models pull NAME` gets weights."""
    if context.invoked_subcommand is None:
        models_list(as_json)


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List backends and embedders with what each needs and whether it is here."""
    from workbench.doctor import menu
    from workbench.terminal import show_menu

    rows = menu()
    print_json([asdict(row) for row in rows]) if as_json else show_menu(rows)


@models_app.command("pull")
def models_pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Short names; the default models without any."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Get the weights of models, each file checked against its official sha256."""
    from workbench import api

    paths = {name: str(path) for name, path in api.pull(*(names or ())).items()}
    if as_json:
        print_json(paths)
    else:
        typer.echo("\n".join(f"{name}: {path}" for name, path in paths.items()))


models_app.command()(memory)


@app.command()
def crawl(
    name: Annotated[str, typer.Argument(help="A manifest (python-stdlib) or a name of your own.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="stdlib, folder:PATH, git:URL@REV[#SUBDIR], pypi:NAME[==V],"
            " hf:DATASET[/CONFIG]:SPLIT#FIELD",
        ),
    ] = None,
    no_filter: Annotated[
        list[str] | None,
        typer.Option(help="A filter to leave out, as tests or duplicates; repeatable."),
    ] = None,
    max_files: Annotated[int | None, typer.Option(min=1, help="Read no more files.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Read no more bytes.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Read no longer.")] = None,
    as_json: Json = False,
) -> None:
    """Crawl code into a corpus; a crawl that was stopped goes on."""
    from workbench import api
    from workbench.terminal import show_corpus

    caps = given(files=max_files, bytes=max_bytes, seconds=max_seconds)
    corpus = api.crawl(name, *(sources or ()), without=no_filter, **caps)
    told = {"name": corpus.name, "digest": corpus.digest, "unchanged": corpus.unchanged}
    print_json(told | asdict(corpus.report())) if as_json else show_corpus(corpus)


@app.command()
def index(
    corpus: str,
    embedder: EmbedderName = None,
    chunker: ChunkerName = None,
    exclude: Exclude = None,
    as_json: Json = False,
) -> None:
    """Chunk, embed and index a corpus; what is unchanged is not embedded again."""
    from workbench import api

    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    named = given(embedder=embedder, chunker=chunker, exclude=exclude)
    info = api.index(corpus, **named).info
    unchanged = info.built < started
    if as_json:
        print_json(asdict(info) | {"unchanged": unchanged})
    else:
        typer.echo(f"{info}{'; unchanged since' if unchanged else ''}")


@app.command()
def search(
    corpus: str,
    query: str,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many hits.")] = 5,
    retriever: RetrieverName = None,
    embedder: EmbedderName = None,
    chunker: ChunkerName = None,
    exclude: Exclude = None,
    languages: Languages = None,
    licences: Licences = None,
    paths: Paths = None,
    as_json: Json = False,
) -> None:
    """Search an indexed corpus."""
    from workbench import api
    from workbench.terminal import show_hits

    named = given(retriever=retriever, embedder=embedder, chunker=chunker, exclude=exclude)
    named |= given(languages=languages, licences=licences, paths=paths)
    hits = api.search(corpus, query, k=k, **named)
    print_json([asdict(hit) for hit in hits]) if as_json else show_hits(hits)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(metavar="[PROMPT]", help="'-' reads it from stdin.")] = "",
    task: TaskOption = "generate",
    backend: Annotated[
        list[str] | None, typer.Option("--backend", "-b", help="Repeat for more columns.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="A code file; repeatable.")
    ] = None,
    source: From = None,
    target: To = None,
    audience: Annotated[str | None, typer.Option(help="Whom a summary is for.")] = None,
    corpus: Sources = None,
    retriever: RetrieverName = None,
    embedder: EmbedderName = None,
    chunker: ChunkerName = None,
    k: HowMany = None,
    with_and_without: Annotated[
        bool, typer.Option(help="Two columns a backend: with the corpus and without.")
    ] = False,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    budget: Budget = None,
    fallback: Fallback = None,
    no_cache: NoCache = False,
    sent: Annotated[
        bool, typer.Option("--sent", help="Print what each backend was really sent, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask several backends side by side."""
    from workbench.spec import DEFAULT_BACKEND, RunSpec, panes, read_source

    if with_and_without and corpus is None:
        raise BadInput("--with-and-without needs a corpus.", "Name one: --corpus python-stdlib")
    sampling = given(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    spec = RunSpec(
        task=task,  # type: ignore[arg-type]  # RunSpec.check names the right ones
        text=sys.stdin.read() if text == "-" else text,
        files=tuple(read_source(path) for path in file or ()),
        language=source,
        target_language=target,
        audience=audience,
        panes=panes(backend or [DEFAULT_BACKEND], with_and_without),
        corpus=corpus,
        params=tuple(sampling.items()),
        budget=budget,
        fallback=fallback,
        cache=not no_cache,
    )
    named = given(retriever=retriever, embedder=embedder, chunker=chunker, k=k)
    comparison = _answer(replace(spec, **named), quiet=as_json, sent=sent)
    if as_json:
        typer.echo(comparison.to_json())
    if any(column.error for column in comparison):
        raise typer.Exit(1)


app.command()(batch)
for command in (evaluate, report, compare, rescore, replay, record, grade, metric):
    app.command()(command)


@app.command("retrieval-report")
def retrieval_report(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[CORPUS|SUITE]", help="A crawled corpus is mined for queries."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="cosqa, beir:FOLDER, beir:hf:NAME or mined:CORPUS.")
    ] = None,
    embedder: Annotated[list[str] | None, typer.Option("--embedder", help="Repeatable.")] = None,
    chunker: Annotated[list[str] | None, typer.Option("--chunker", help="Repeatable.")] = None,
    retriever: Annotated[list[str] | None, typer.Option("--retriever", help="Repeatable.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: the suite's own.")] = None,
    metric: Annotated[str | None, typer.Option(help="To sort and judge by: nDCG@10, ...")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Queries at most.")] = None,
    query: Annotated[
        str | None, typer.Option(help="Inspect this one query (its id, or words) instead.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page, too.")] = None,
    as_json: Json = False,
) -> None:
    """Measure embedders, chunkers and retrievers side by side; what is measured is kept."""
    from workbench import api
    from workbench.terminal import show_inspection, show_retrieval_report

    named = suite if target is None else target
    if named is None or (target is not None and suite is not None):
        raise BadInput("Which suite?", "Name one: workbench retrieval-report --suite cosqa")
    arms = given(embedders=embedder, chunkers=chunker, retrievers=retriever)
    if query is not None:
        inspection = api.inspect_query(named, query, **arms)
        print_json(asdict(inspection)) if as_json else show_inspection(inspection)
        return
    options = given(split=split, metric=metric, limit=limit)
    report = api.retrieval_report(named, **arms, **options)
    if html is not None:
        report.to_html(html)
    typer.echo(report.to_json()) if as_json else show_retrieval_report(report)
    if any(result.error for result in report.results):
        raise typer.Exit(1)


@app.command("tune-embedder")
def tune_embedder(
    corpus: Annotated[str, typer.Argument(help="A crawled corpus, or a suite such as cosqa.")],
    base: Annotated[
        str, typer.Option(help="minilm, static, mpnet, or a sentence-transformers folder.")
    ] = ("minilm"),
    name: Annotated[str | None, typer.Option(help="Of the new embedder; default: made up.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0.01)] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0)] = None,
    batch: Annotated[int | None, typer.Option(min=2)] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    evaluate: Annotated[
        bool, typer.Option(help="Measure before and after on held-out queries and CoSQA.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Tune an embedder on query-function pairs mined from a corpus."""
    from workbench import api
    from workbench.terminal import show_tuning

    settings = given(epochs=epochs, learning_rate=learning_rate, batch=batch, seed=seed)
    tuned = api.tune_embedder(corpus, base, name, evaluate=evaluate, **settings)
    print_json(tuned.table()) if as_json else show_tuning(tuned)


@app.command()
def contamination(
    corpus: Annotated[str, typer.Argument(help="A crawled corpus.")],
    suite: Annotated[
        str, typer.Option(help="humaneval, mbpp, leetcode, cosqa, or a JSONL file of solutions.")
    ],
    chunker: ChunkerName = None,
    as_json: Json = False,
) -> None:
    """Find the chunks of a corpus that hold a solution of a suite."""
    from workbench import api
    from workbench.terminal import show_contamination

    found = api.contamination(corpus, suite, **given(chunker=chunker))
    print_json(found.table()) if as_json else show_contamination(found)


app.command()(throughput)
app.command()(serve)


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    auth: Annotated[str | None, typer.Option(help="USER:PASSWORD to ask for.")] = None,
    share: Annotated[bool, typer.Option(help="Open a public Gradio link.")] = False,
) -> None:
    """Open the workbench in the browser."""
    if importlib.util.find_spec("gradio") is None:
        raise MissingExtra("The UI", "ui")
    from workbench.ui import launch

    launch(host=host, port=port, auth=auth, share=share)


def _answer(spec: RunSpec, *, quiet: bool, sent: bool) -> Comparison:
    from workbench import api
    from workbench.terminal import show_comparison, show_sent, watch_live

    if quiet:
        return api.watch(api.stream(spec))
    if sys.stdout.isatty():
        comparison = watch_live(api.stream(spec))
    else:
        comparison = api.watch(api.stream(spec))
        show_comparison(comparison)
    if sent:
        show_sent(comparison)
    return comparison


def main() -> None:
    """Run a command; an error is one line on stderr and exit code 1 or 2."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if debug:
        handler = logging.StreamHandler()
        handler.setFormatter(ScrubbedFormatter("%(name)s: %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        code = app(args=arguments, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        line, code = _explain(error, arguments)
        if debug and not isinstance(error, typer.TyperException):
            line, code = "".join(traceback.format_exception(error)), 1
        if line:
            typer.echo(public(line), err=True)
    if code == _INTERRUPTED:  # which is also how typer hands on a Ctrl-C
        typer.echo("Stopped.", err=True)
        _leave(_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    """End the process without waiting for threads that may still be in a model's native code.

    Python would take itself apart under them, and one that calls back then aborts the process.
    """
    atexit._run_exitfuncs()  # what removes temporary folders
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _explain(error: Exception, arguments: list[str]) -> tuple[str, int]:
    """Return the one line that an error comes to, and the exit code."""
    if isinstance(error, WorkbenchError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, typer.TyperException):
        message = " ".join(error.format_message().split()).rstrip(".")
        command = " ".join(["workbench", *arguments[:1]])
        return message and f"Error: {message}. See: {command} --help", error.exit_code
    if isinstance(error, BrokenPipeError):  # `workbench ... | head`
        return "", 1
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return f"Error: {cause} (a bug; --debug shows where)", 1
