"""The verbs: what notebooks, the command line and the UI call."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import corpus as corpora
from workbench import cost, retrieval, weights
from workbench.batch import finish, read_prompts, run_batch
from workbench.batch.forecast import announce
from workbench.comparison import Column, Comparison
from workbench.corpus.caps import DEFAULT_CAPS
from workbench.corpus.contamination import find_contamination
from workbench.errors import BadInput, MissingModel, WrongHash
from workbench.evaluation import EvaluationSpec, evaluate_solvers, evaluate_spec
from workbench.evaluation import finish as finish_evaluation
from workbench.evaluation import rescore as rescore_run
from workbench.evaluation.report import as_report, open_report
from workbench.lab import inspect, tuning
from workbench.lab.map import corpus_map as map_of
from workbench.lab.study import arms_of, study
from workbench.lab.suite import find_suite
from workbench.machine import environment
from workbench.progress import bar
from workbench.report import Hits
from workbench.run import side_by_side
from workbench.settings import settings
from workbench.spec import (
    DEFAULT_BACKEND,
    DEFAULT_K,
    Pane,
    RunSpec,
    build_corpus_index,
    open_corpus_index,
    panes,
    read_source,
    solver,
    with_unique_names,
)
from workbench.store import Store
from workbench.suites import RetrievalSuite
from workbench.suites.solutions import load_solutions
from workbench.types import Question, Result, SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from workbench.batch import Batch, Preflight
    from workbench.corpus import Corpus
    from workbench.corpus.contamination import Contamination
    from workbench.cost import Throughput
    from workbench.evaluation import EvaluationProgress
    from workbench.evaluation.report import EvaluationReport
    from workbench.lab import CorpusMap, Inspection, RetrievalReport
    from workbench.lab.map import GroupName, MethodName
    from workbench.lab.tuning import TuningReport
    from workbench.retrieval import Index
    from workbench.store import RunRow
    from workbench.suites import Suite
    from workbench.types import Metric, Question, Retriever, Solver, TaskName

log = logging.getLogger(__name__)


def pull(*names: str) -> dict[str, Path]:
    """Get the weights of models by short name, and return where they lie.

    Without names: those of the default backend and embedder. Where the default backend's cannot
    be had, its fallback takes their place (and its key in what is returned), with a warning.

    Raises:
        UnknownName: no model has that name.
        MissingModel: it is not to be had, and neither is a fallback.
        WrongHash: what was found is not the official file.
    """
    if names:
        return {name: weights.pull(name) for name in names}
    generator = DEFAULT_BACKEND.partition("/")[2]
    try:
        paths = {generator: weights.pull(generator)}
    except (MissingModel, WrongHash) as error:
        fallback = weights.describe(generator).fallback
        if fallback is None:
            raise
        log.warning(
            "%s Taking %s instead, which is good for trying things out only.", error.cause, fallback
        )
        paths = {fallback: weights.pull(fallback)}
    embedder = retrieval.EMBEDDERS.entry(retrieval.DEFAULT_EMBEDDER).needs
    return paths | {embedder: weights.pull(embedder)}


def crawl(name: str, *sources: str, without: Sequence[str] | None = None, **caps: Any) -> Corpus:
    """Crawl a manifest, or sources such as ``folder:PATH``, into the corpus called ``name``.

    ``without`` names filters to leave out; ``caps`` are ``files``, ``bytes`` and ``seconds`` to
    read at most. A crawl that was stopped goes on, and an unchanged one reads nothing.

    Raises:
        BadInput: a name or source is unknown.
        InUse: another process is crawling it.
    """
    limits = replace(DEFAULT_CAPS, **caps) if caps else None
    return corpora.crawl(name, sources, caps=limits, without=without)


def index(
    corpus: Corpus | str,
    embedder: Any = retrieval.DEFAULT_EMBEDDER,
    chunker: str = corpora.DEFAULT_CHUNKER,
    exclude: str | None = None,
) -> Index:
    """Chunk, embed and index a corpus; an unchanged one is opened and embeds nothing.

    ``embedder`` is a name of the menu, or an object: LangChain's ``Embeddings`` or an Embedder
    of your own. ``exclude`` names a suite, or a JSONL file of solutions: chunks that hold one are
    left out, so that a model which is given hits is not given the answer.

    Raises:
        MissingCorpus: it was never crawled.
        UnknownName: no embedder or chunker is called so.
        InUse: another process is indexing it.
    """
    opened = corpora.open_corpus(corpus) if isinstance(corpus, str) else corpus
    return build_corpus_index(opened, retrieval.adopt(embedder), chunker, exclude)


def contamination(corpus: str, suite: str, chunker: str = corpora.DEFAULT_CHUNKER) -> Contamination:
    """Find the chunks of a corpus that hold a solution of a suite.

    ``suite`` is humaneval, mbpp, leetcode or cosqa (from WORKBENCH_DATA), or a JSONL file with
    ``id`` and ``solution``.

    Raises:
        MissingCorpus: the corpus was not crawled.
        UnknownName: no suite is called so.
        BadInput: its file is missing or malformed.
    """
    opened = corpora.open_corpus(corpus)
    chunks = corpora.chunk_corpus(opened, corpora.make_chunker(chunker))
    return find_contamination(chunks, load_solutions(suite))


def search(
    corpus: str,
    query: str,
    *,
    k: int = 5,
    retriever: str | None = None,
    embedder: str | None = None,
    chunker: str = corpora.DEFAULT_CHUNKER,
    exclude: str | None = None,
    languages: Sequence[str] = (),
    licences: Sequence[str] = (),
    paths: Sequence[str] = (),
) -> Hits:
    """Return the ``k`` best hits of an indexed corpus.

    Without ``embedder``: by the one that was indexed last; without ``retriever``: by the one that
    measured best for it. ``languages``,
    ``licences`` (SPDX) and ``paths`` (patterns such as ``json/*``) say among which chunks to
    search. ``exclude`` is that of the index.

    Raises:
        MissingCorpus: it was not crawled, or not indexed so.
        BadInput: the query is empty, or a name is unknown.
    """
    where = retrieval.Where(tuple(languages), tuple(licences), tuple(paths))
    index = open_corpus_index(corpus, embedder, chunker, exclude)
    return Hits(index.search(query, k, retriever, where))


def stream_retrieval_report(
    suite: str | RetrievalSuite,
    embedders: Sequence[str] = (),
    chunkers: Sequence[str] = (),
    retrievers: Sequence[str] = (),
    **options: Any,
) -> Iterator[RetrievalReport]:
    """Measure embedders, chunkers and retrievers; yield the report after each, the last whole.

    ``suite`` is ``cosqa``, ``beir:FOLDER``, ``mined:CORPUS``, a crawled corpus (which is mined),
    or a suite of your own. Without names: the default embedder, whole functions or syntax, and
    all retrievers. ``options`` are ``split``, ``limit``, ``depth`` and ``metric`` of
    ``workbench.lab.study.study``.

    Raises:
        UnknownName: a name is unknown.
        BadInput: the suite cannot be read, or there is nothing to measure.
        MissingExtra: the lab's packages are not installed.
    """
    yield from study(_suite(suite), **_arms(embedders, chunkers, retrievers), **options)


def retrieval_report(
    suite: str | RetrievalSuite,
    embedders: Sequence[str] = (),
    chunkers: Sequence[str] = (),
    retrievers: Sequence[str] = (),
    **options: Any,
) -> RetrievalReport:
    """Measure embedders, chunkers and retrievers; see ``stream_retrieval_report``."""
    *_, report = stream_retrieval_report(suite, embedders, chunkers, retrievers, **options)
    return report


def inspect_query(
    suite: str | RetrievalSuite,
    query: str,
    embedders: Sequence[str] = (),
    chunkers: Sequence[str] = (),
    retrievers: Sequence[str] = (),
) -> Inspection:
    """Show what each arm returns for one query (an id of the suite, or words), and why.

    Raises:
        UnknownName: a name is unknown.
        BadInput: the query is empty.
    """
    opened = _suite(suite)
    arms = arms_of(opened, **_arms(embedders, chunkers, retrievers))
    return inspect.inspect_query(opened, query, arms)


def query_texts(suite: str | RetrievalSuite, split: str) -> dict[str, str]:
    """Return the queries of a split by id."""
    return {query.id: query.text for query in _suite(suite).queries[split]}


def corpus_map(
    corpus: str,
    embedder: str | None = None,
    chunker: str = corpora.DEFAULT_CHUNKER,
    *,
    method: MethodName = "pca",
    by: GroupName = "package",
) -> CorpusMap:
    """Lay an indexed corpus out in two dimensions; it draws itself in a notebook.

    Raises:
        MissingCorpus: it was not crawled, or not indexed so.
        MissingExtra: the lab's packages, or umap-learn for ``umap``, are not installed.
    """
    return map_of(open_corpus_index(corpus, embedder, chunker), method, by)


def tune_embedder(
    corpus: str, base: str = "minilm", name: str | None = None, **options: Any
) -> TuningReport:
    """Tune an embedder on query-function pairs mined from a corpus; it is then ``tuned/NAME``.

    ``options`` are ``evaluate`` (measure before and after, the default) and the settings of
    ``workbench.training.recipe.Recipe``.

    Raises:
        MissingCorpus: the corpus was not crawled.
        BadInput: the base cannot be tuned, or there are too few pairs.
    """
    return tuning.tune_embedder(corpus, base, name, **options)


def _arms(
    embedders: Sequence[str], chunkers: Sequence[str], retrievers: Sequence[str]
) -> dict[str, Any]:
    """Keep what was named, so that the study's own defaults hold for the rest."""
    named = {"embedders": embedders, "chunkers": chunkers, "retrievers": retrievers}
    return {kind: tuple(names) for kind, names in named.items() if names}


def _suite(suite: str | RetrievalSuite) -> RetrievalSuite:
    return suite if isinstance(suite, RetrievalSuite) else find_suite(suite)


def stream(spec: RunSpec) -> Generator[Comparison]:
    """Run a spec and yield the comparison again after every update, from empty to finished.

    Each result is in the run store before the comparison that shows it finished is yielded. The
    run ends when the generator is closed: the models stop, and what came is stored as stopped.

    Raises:
        BadInput: the spec is wrong; nothing was loaded or stored.
    """
    spec.check()
    if not spec.panes:
        raise BadInput("No backend was chosen.", "Choose one: workbench models list")
    yield from stream_solvers(spec.question(), spec.solvers(), asdict(spec))


def stream_solvers(
    question: Question, solvers: Sequence[Solver], spec: dict[str, Any]
) -> Generator[Comparison]:
    """Do what ``stream`` does for solvers that are objects; ``spec`` is stored beside them."""
    store = Store(settings().runs)
    run = store.start({**spec, "solvers": [one.name for one in solvers]}, environment())
    comparison = Comparison(question, tuple(Column(one.name) for one in solvers), run)
    updates = side_by_side(question, solvers)
    try:
        yield comparison
        for update in updates:
            comparison = comparison.after(update)
            column = comparison[update.solver]
            if column.finished:
                _keep(store, comparison, column)
            yield comparison
    finally:
        updates.close()
        for column in comparison:
            if not column.finished:
                _keep(store, comparison, column.stop())


def _keep(store: Store, comparison: Comparison, column: Column) -> None:
    question = comparison.question
    partial = column.steps[-1] if column.answer is None and column.steps else None
    result = Result(
        column.solver, question.id, 0, column.answer, error=column.error, partial=partial
    )
    store.add(str(comparison.run), question, result)


def ask(
    text: str = "",
    *,
    task: TaskName = "generate",
    backends: Sequence[Any] = (DEFAULT_BACKEND,),
    solvers: Sequence[Solver] = (),
    files: Sequence[str | Path | SourceFile] = (),
    language: str | None = None,
    target_language: str | None = None,
    audience: str | None = None,
    corpus: str | None = None,
    retriever: Retriever | None = None,
    k: int = DEFAULT_K,
    cache: bool = True,
    budget: float | None = None,
    fallback: str | None = None,
    show: Callable[[Generator[Comparison]], Comparison] | None = None,
    **params: Any,
) -> Comparison:
    """Ask several backends side by side and return their answers as a Comparison.

    ``corpus`` names an indexed corpus to search with the default retriever; ``retriever`` is any
    object with ``search(query, k)``, such as an Index. ``solvers`` stand beside the backends.
    A backend is a name, a Backend of your own, or a chat model of LangChain. ``cache`` False asks
    anew what was answered before; ``budget`` is the most that hosted backends may cost together,
    in USD; ``fallback`` names a backend that answers, marked, where another one fails.
    ``show`` runs the stream and returns its last comparison: ``watch``, a progress bar, where
    nothing is said; ``workbench.notebook.live`` shows the columns while they fill. ``params`` are
    sampling parameters. A backend that fails fills its own column with the cause.

    Raises:
        BadInput: something asked for is wrong or unknown; no backend was called.
    """
    handed_in = tuple(file if isinstance(file, SourceFile) else read_source(file) for file in files)
    named = tuple(Pane(one) for one in backends if isinstance(one, str))
    spec = RunSpec(
        task=task,
        text=text,
        files=handed_in,
        language=language,
        target_language=target_language,
        audience=audience,
        panes=named,
        corpus=corpus,
        k=k,
        params=tuple(params.items()),
        cache=cache,
        budget=budget,
        fallback=fallback,
    )
    spec.check()
    searched, calls = retriever or spec.corpus_retriever(), spec.calls()
    made = [solver(one, retriever=searched, k=k, calls=calls, **params) for one in backends]
    together = with_unique_names([*made, *solvers])
    return (show or watch)(stream_solvers(spec.question(), together, asdict(spec)))


def ask_many(
    prompts: Sequence[str | Question] | Path,
    *,
    backends: Sequence[Any] = (DEFAULT_BACKEND,),
    solvers: Sequence[Solver] = (),
    samples: int = 1,
    confirm: Callable[[Preflight], bool] | None = None,
    again: bool = False,
    spec: RunSpec | None = None,
    **params: Any,
) -> Batch:
    """Put many prompts to several backends, and return all answers as a Batch.

    ``prompts`` are texts, Questions, or a file (see ``workbench batch``). Each answer is stored as
    it comes; the same call goes on where it was stopped, and ``again`` begins anew. ``spec`` says
    the rest: task, languages, corpus, cache, budget, fallback. ``confirm`` is shown what it will
    take where that may cost more than WORKBENCH_ASK_ABOVE. ``params`` are sampling parameters.

    Raises:
        BadInput: something asked for is wrong; no backend was called.
        Cancelled: ``confirm`` said no.
    """
    base = spec or RunSpec()
    named = [one for one in backends if isinstance(one, str)]
    base = replace(base, panes=panes(named), params=(*base.params, *params.items()))
    questions = _questions(prompts, base)
    calls, searched = base.calls(), base.corpus_retriever()
    options = {"retriever": searched, "k": base.k, "calls": calls, **dict(base.params)}
    made = with_unique_names([*(solver(one, **options) for one in backends), *solvers])
    states = run_batch(questions, made, asdict(base), samples=samples, confirm=confirm, again=again)
    return finish(states)


def _questions(prompts: Sequence[str | Question] | Path, spec: RunSpec) -> list[Question]:
    if isinstance(prompts, str):
        raise BadInput("One text is no batch.", "Write a list: ask_many([text]), or use ask(text).")
    if isinstance(prompts, Path):
        return list(read_prompts(prompts, spec))
    asked = [
        one if isinstance(one, Question) else replace(spec, text=one).question() for one in prompts
    ]
    for text in prompts:
        if isinstance(text, str):
            replace(spec, text=text).check()
    return asked


def throughput(backend: str, **options: Any) -> Throughput:
    """Measure what a backend answers a second on this machine, at several concurrencies.

    ``options`` are ``concurrencies``, ``requests``, ``max_tokens``, ``prompts`` and ``repeats`` of
    ``workbench.cost.throughput``. What was measured is kept, for break-evens and forecasts.

    Raises:
        BadInput: the backend's name is unknown, or an option is out of its range.
    """
    with closing(cost.throughput(backend, **options)) as states:
        *_, measured = states
    return measured


def watch(comparisons: Generator[Comparison]) -> Comparison:
    """Run a stream to its end behind a progress bar and return the finished comparison."""
    comparison: Comparison | None = None
    with closing(comparisons), bar(desc="Answering", unit="token") as progress:
        for comparison in comparisons:
            progress.update()
            progress.set_postfix_str(
                ", ".join(f"{column.solver}: {column.status}" for column in comparison),
                refresh=False,
            )
    assert comparison is not None, "a stream yields at least once"
    return comparison


def evaluate(
    suite: str | Suite = "workbench-mini",
    *,
    solvers: Sequence[Solver] = (),
    backends: Sequence[str] = (),
    metrics: Sequence[str | Metric] = (),
    limit: int | None = None,
    samples: int = 1,
    confirm: Callable[[Preflight], bool] | None = None,
    again: bool = False,
    **options: Any,
) -> EvaluationReport:
    """Put a suite of problems to solvers, score their answers, and return what came of it.

    Either ``solvers`` are objects, as ``solver(...)`` makes them, or ``backends`` are names, with
    ``options`` of ``EvaluationSpec`` (``corpus``, ``embedders``, ``oracle``, ``k``, ``params``,
    ``budget``, ...); without either, the default backend. Each answer and score is stored as it
    comes: the same call goes on where it was stopped, and one with further solvers, samples or
    metrics does what is new. ``again`` begins anew.

    Raises:
        BadInput: something asked for is wrong, or both ways were; no backend was called.
        Cancelled: ``confirm`` said no.
    """
    more: dict[str, Any] = {"confirm": confirm, "again": again}
    if solvers:
        if backends or options:
            named = ", ".join([*options, *(["backends"] if backends else [])])
            raise BadInput(f"With solvers that are objects, {named} cannot be said.", "Leave it.")
        states = evaluate_solvers(suite, solvers, metrics, limit=limit, samples=samples, **more)
        return _finished(states)
    name = suite if isinstance(suite, str) else suite.name
    spec = EvaluationSpec.from_table(
        {
            "suite": name,
            "backends": list(backends) or [DEFAULT_BACKEND],
            "metrics": list(metrics),
            "limit": limit,
            "samples": samples,
            **options,
        }
    )
    given = None if isinstance(suite, str) else suite
    return _finished(evaluate_spec(spec, given, **more))


def rescore(
    run: str = "last", metrics: Sequence[str | Metric] = (), **options: Any
) -> EvaluationReport:
    """Score the stored answers of an evaluation by further metrics, and return what came of it.

    No model is asked. Without ``metrics``: by those that it has, where scores are missing;
    ``options`` are those of ``workbench.evaluation.rescore``, as ``again=True`` to judge anew.

    Raises:
        UnknownName: no run or metric is called so.
        BadInput: the run is no evaluation, or its suite is not the one that was asked.
        InUse: another process evaluates or scores it.
    """
    return _finished(rescore_run(run, metrics, **options))


def _finished(states: Generator[EvaluationProgress]) -> EvaluationReport:
    """Say what an evaluation will take, run it, and return it with its verbs."""
    forecast = next(states).preflight
    if forecast is not None:
        announce(forecast)
    return as_report(finish_evaluation(states))


def open_evaluation(run: str = "last") -> EvaluationReport:
    """Return a stored evaluation with its tables, pairs and pictures; no model is called.

    Raises:
        UnknownName: no run has that id.
        BadInput: it is no evaluation, or there is none yet.
    """
    return open_report(run)


def runs(limit: int = 50) -> list[RunRow]:
    """Return the latest stored runs, newest first."""
    return Store(settings().runs).runs(limit)


def open_run(run: str) -> Comparison:
    """Return a stored comparison as it was.

    Raises:
        UnknownName: no run has that id.
        BadInput: it ended before its first result, or it is a batch of many questions.
    """
    store = Store(settings().runs)
    rows = list(store.results(run))
    if len({question.id for question, _ in rows}) > 1:
        raise BadInput(
            f"The run {run} is a batch of many questions.",
            f"See: workbench report {run}, or workbench cost run {run}",
        )
    if not rows:
        raise BadInput(f"The run {run} ended before its first result.", "Ask again.")
    columns = []
    for _, result in rows:
        answer, partial = result.answer, result.partial
        step = partial if answer is None else answer.steps[-1] if answer.steps else None
        stopped = partial is not None and partial.completion.finish_reason == "cancelled"
        columns.append(
            Column(
                result.solver,
                "done" if answer else "stopped" if stopped else "failed",
                text=answer.raw if answer else partial.completion.text if partial else "",
                reasoning=step.completion.reasoning if step else "",
                prompt=step.prompt if step else None,
                partial=partial.completion if partial else None,
                hits=answer.hits if answer else (),
                left_out=answer.left_out if answer else (),
                answer=answer,
                error=result.error,
            )
        )
    # Results are stored as they finish; columns stand as they were asked for.
    asked = store.run(run).spec["solvers"]
    columns.sort(key=lambda column: asked.index(column.solver))
    return Comparison(rows[0][0], tuple(columns), run)
