"""Names and numbers <-> objects: what is asked for, and the solvers that will answer."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.agents import Direct
from workbench.backends import check_backend, hold_backend, split_name, waiting_for
from workbench.backends.langchain import from_chat_model, is_chat_model
from workbench.backends.ready import Calls, ready, ready_backend
from workbench.backends.wrapping import name_of
from workbench.corpus import DEFAULT_CHUNKER, Excluding, make_chunker, open_corpus
from workbench.errors import (
    BackendError,
    BadInput,
    MissingExtra,
    MissingKey,
    MissingModel,
    UnknownName,
)
from workbench.languages import language, language_of_path
from workbench.retrieval import (
    Cutting,
    Index,
    build_index,
    check_retriever,
    open_index,
)
from workbench.settings import settings
from workbench.suites.solutions import load_solutions
from workbench.tasks import TASKS, load_task
from workbench.types import (
    SAMPLING,
    Loading,
    Question,
    Retriever,
    SamplingParams,
    SourceFile,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from workbench.corpus import Corpus
    from workbench.types import (
        Chunker,
        Event,
        Hit,
        Solver,
        TaskName,
    )

DEFAULT_BACKEND = "llama-cpp/qwen2.5-coder-0.5b"
DEFAULT_K = 3


@dataclass(frozen=True, slots=True)
class Pane:
    """One column of a comparison: a backend, and whether it is given the corpus's hits."""

    backend: str
    retrieve: bool = True


def panes(backends: Sequence[str], with_and_without: bool = False) -> tuple[Pane, ...]:
    """Return a pane a backend, or two: with the corpus's hits and without."""
    if not with_and_without:
        return tuple(Pane(name) for name in backends)
    return tuple(Pane(name, retrieve) for name in backends for retrieve in (True, False))


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What one comparison is made of, in names and numbers alone.

    ``embedder`` None is the one that was indexed last, and ``retriever`` None the one that
    measured best for it. ``params`` are sampling
    parameters that override the task's own. ``cache`` False asks anew what was answered before.
    ``budget`` is the most that hosted backends may cost together, in USD, None for no limit but
    WORKBENCH_BUDGET. ``fallback`` names a backend that answers where another one fails; its
    answers are marked. ``check`` finds what is wrong
    before anything is loaded; ``solvers`` are cheap, too: each loads its backend when it starts.
    """

    task: TaskName = "generate"
    text: str = ""
    files: tuple[SourceFile, ...] = ()
    language: str | None = None
    target_language: str | None = None
    audience: str | None = None
    panes: tuple[Pane, ...] = (Pane(DEFAULT_BACKEND),)
    corpus: str | None = None
    embedder: str | None = None
    chunker: str = DEFAULT_CHUNKER
    exclude: str | None = None
    retriever: str | None = None
    k: int = DEFAULT_K
    params: tuple[tuple[str, Any], ...] = ()
    cache: bool = True
    budget: float | None = None
    fallback: str | None = None

    @property
    def digest(self) -> str:
        """Sixteen hex digits that two equal specs share."""
        return _digest(self)

    def question(self) -> Question:
        """Return the question, with the languages' own names and the code's language filled in.

        Raises:
            BadInput: a text or file is too large, there are too many files, or nothing is asked.
            UnknownName: a task or language is not known.
        """
        if self.task not in TASKS:
            raise UnknownName("task", self.task, [entry.name for entry in TASKS])
        _check_size(self.text, self.files)
        said = self.language or next((file.language for file in self.files if file.language), None)
        target = self.target_language
        if self.task == "generate":
            target = target or said or "python"
        asked = Question(
            id="",
            task=self.task,
            text=self.text,
            language=language(said).name if said else None,
            target_language=language(target).name if target else None,
            audience=self.audience,
            files=self.files,
        )
        return replace(asked, id=_digest(asked))

    def check(self) -> None:
        """Find what is wrong with the names and numbers before anything is loaded.

        Raises:
            BadInput: or one of its kinds, with the nearest right name where one is wrong.
        """
        question = self.question()
        load_task(self.task).render(question, ())
        for name in (*(pane.backend for pane in self.panes), self.fallback):
            if name is not None:
                check_backend(name)
        if self.budget is not None and self.budget < 0:
            raise BadInput(f"The budget is {self.budget} USD.", "Take 0 or more: --budget 0.50")
        self.sampling(load_task(self.task).params)
        if self.corpus is not None:
            if self.k < 1:
                raise BadInput(f"k is {self.k}.", "Ask for at least one hit: --k 3")
            if self.retriever is not None:
                check_retriever(self.retriever)
            open_corpus_index(self.corpus, self.embedder, self.chunker, self.exclude)

    def sampling(self, defaults: SamplingParams) -> SamplingParams:
        """Return the task's default sampling parameters with this spec's own on top.

        Raises:
            BadInput: a parameter is unknown or out of its range.
        """
        for name, _ in self.params:
            if name not in SAMPLING:
                raise UnknownName("sampling parameter", name, SAMPLING)
        params = replace(defaults, **dict(self.params))
        if params.max_tokens < 1 or params.temperature < 0 or not 0 < params.top_p <= 1:
            raise BadInput(
                f"Sampling with max_tokens={params.max_tokens}, temperature={params.temperature},"
                f" top_p={params.top_p} cannot be done.",
                "Take max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1.",
            )
        return params

    def corpus_retriever(self) -> Retriever | None:
        """Return what searches the corpus, None where no corpus is asked for."""
        if self.corpus is None:
            return None
        return CorpusRetriever(
            self.corpus, self.embedder, self.chunker, self.exclude, self.retriever
        )

    def solvers(self) -> list[Solver]:
        """Return one solver a pane. Panes that search share one search, and all one budget."""
        retriever = self.corpus_retriever()
        calls = self.calls()
        made: list[Solver] = []
        for pane in self.panes:
            searched = retriever if pane.retrieve else None
            name = pane.backend
            if self.corpus is not None and not pane.retrieve:
                name += " without corpus"
            options: dict[str, Any] = {
                "retriever": searched,
                "k": self.k,
                "name": name,
                "calls": calls,
            }
            made.append(solver(pane.backend, **options, **dict(self.params)))
        return with_unique_names(made)

    def calls(self) -> Calls:
        """Return how backends are called: one budget for all that is asked through it."""
        return Calls.within(self.budget, cache=self.cache, fallback=self.fallback)


def solver(
    backend: Any,
    *,
    retriever: Retriever | None = None,
    k: int = DEFAULT_K,
    name: str | None = None,
    calls: Calls | None = None,
    **params: Any,
) -> Solver:
    """Return a solver that asks ``backend`` directly, with the retriever's ``k`` best hits.

    ``backend`` is a name, a Backend of your own, or a chat model of LangChain. One given by name
    is loaded when the solver first works, so that a slow or broken one holds up its own column
    alone. ``calls`` are shared by solvers with one budget. ``params`` are those of
    SamplingParams; what is not given comes from the task.

    Raises:
        BadInput: the backend's or a parameter's name is unknown.
    """
    RunSpec(params=tuple(params.items())).sampling(SamplingParams())
    calls = calls or Calls.within()
    if isinstance(backend, str):
        check_backend(backend)
        return NamedSolver(backend, name or backend, retriever, k, params, calls)
    adopted = from_chat_model(backend) if is_chat_model(backend) else backend
    return Direct(
        ready(adopted, calls),
        load_task,
        name=name or name_of(adopted),
        retriever=retriever,
        k=k,
        overrides=params,
    )


@dataclass(frozen=True, slots=True)
class NamedSolver:
    """A direct solver whose backend is loaded by its name when it is first asked."""

    backend: str
    name: str
    retriever: Retriever | None
    k: int
    params: Mapping[str, Any]
    calls: Calls
    number: int = 0

    def stream(self, question: Question) -> Iterator[Event]:
        """Load the backend, then answer; the backend stays in memory until the answer is there."""
        others = ", ".join(waiting_for(self.backend))
        yield Loading(f"{self.backend}, after {others}" if others else self.backend)
        with ready_backend(self.backend, self.calls) as backend:
            direct = Direct(
                backend,
                load_task,
                name=self.name,
                retriever=self.retriever,
                k=self.k,
                overrides=self.params,
                sample=self.number,
            )
            yield from direct.stream(question)

    def with_sample(self, number: int) -> NamedSolver:
        """Return the solver that draws the sample of that number."""
        return replace(self, number=number)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the backend in memory for the block; where it cannot be, a fallback may answer."""
        with ExitStack() as stack:
            try:
                stack.enter_context(hold_backend(self.backend))
            except (BackendError, MissingKey, MissingExtra, MissingModel):
                if self.calls.fallback is None:
                    raise
            yield

    @property
    def workers(self) -> int:
        """How many questions it is worth to ask at once."""
        here = settings()
        return {"llama-cpp": here.slots, "retrieval": 1, "replay": 1}.get(
            split_name(self.backend)[0], here.concurrency
        )


class CorpusRetriever:
    """A corpus's index, opened when it is first searched; equal searches run once."""

    def __init__(
        self,
        corpus: str,
        embedder: str | None,
        chunker: str,
        exclude: str | None,
        mode: str | None,
    ) -> None:
        self._names = (corpus, embedder, chunker, exclude)
        self._mode = mode
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._found: dict[tuple[str, int], list[Hit]] = {}

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the ``k`` best hits.

        Raises:
            MissingCorpus: the corpus was not crawled, or not indexed so.
        """
        with self._lock:
            if self._index is None:
                self._index = open_corpus_index(*self._names)
            if (query, k) not in self._found:
                self._found[query, k] = self._index.retriever(self._mode).search(query, k)
            return self._found[query, k]


def corpus_chunker(chunker: str, exclude: str | None) -> Chunker:
    """Return a chunker, without the chunks that hold a solution of the suite ``exclude``.

    Raises:
        UnknownName: no chunker or suite of solutions is called so.
        BadInput: the suite's file is missing or malformed.
    """
    cutter = make_chunker(chunker)
    return cutter if exclude is None else Excluding(cutter, exclude, load_solutions(exclude))


def build_corpus_index(corpus: Corpus, embedder: str, chunker: str, exclude: str | None) -> Index:
    """Index a corpus, or open the index where nothing changed."""
    cutter = corpus_chunker(chunker, exclude)
    return build_index(
        corpus.name,
        Cutting(corpus.documents, cutter, len(corpus)),
        embedder,
        corpus_digest=corpus.digest,
        chunker_fingerprint=cutter.fingerprint,
    )


def open_corpus_index(
    corpus: str, embedder: str | None, chunker: str, exclude: str | None = None
) -> Index:
    """Open the index of a corpus as it stands now; a damaged one is built again.

    Without ``embedder``: the one that was indexed last.

    Raises:
        MissingCorpus: the corpus was not crawled, or not indexed so; says how to.
    """
    opened = open_corpus(corpus)
    cutter = corpus_chunker(chunker, exclude)
    return open_index(
        opened.name,
        embedder,
        corpus_digest=opened.digest,
        chunker_fingerprint=cutter.fingerprint,
        chunks=Cutting(opened.documents, cutter),
    )


def with_unique_names(solvers: Sequence[Solver]) -> list[Solver]:
    """Number the solvers that share a name, so that each has a column of its own."""
    seen: dict[str, int] = {}
    unique: list[Solver] = []
    for one in solvers:
        count = seen[one.name] = seen.get(one.name, 0) + 1
        unique.append(one if count == 1 else _renamed(one, f"{one.name} #{count}"))
    return unique


def _renamed(solver: Solver, name: str) -> Solver:
    """Return a solver under another name; ours stay what they are, and keep what else they do."""
    if isinstance(solver, NamedSolver | Direct):
        return replace(solver, name=name)
    return _Renamed(name, solver)


@dataclass(frozen=True, slots=True)
class _Renamed:
    name: str
    solver: Solver

    def stream(self, question: Question) -> Iterator[Event]:
        return self.solver.stream(question)


def read_source(path: str | Path) -> SourceFile:
    """Read a code file that the person asking hands in.

    Raises:
        BadInput: there is no such file, it is too large, or it is no text.
    """
    file = Path(path)
    limit = settings().max_upload_bytes
    try:
        size = file.stat().st_size
        if size > limit:
            raise BadInput(
                f"{file.name} has {size:,} bytes; {limit:,} are the most.",
                "Hand in a part of it, or raise WORKBENCH_MAX_UPLOAD_BYTES.",
            )
        raw = file.read_bytes()
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise BadInput(f"{file} cannot be read: {cause}.", "Check the path.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if "\0" in text or (raw and not text):
        raise BadInput(f"{file.name} is not a UTF-8 text file.", "Hand in source code.")
    found = language_of_path(file.name)
    return SourceFile(file.name, text, found.name if found else None)


def _digest(record: RunSpec | Question) -> str:
    canonical = json.dumps(asdict(record), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _check_size(text: str, files: Sequence[SourceFile]) -> None:
    limits = settings()
    if len(text) > limits.max_prompt_characters:
        raise BadInput(
            f"The prompt has {len(text):,} characters; {limits.max_prompt_characters:,} are the"
            " most.",
            "Shorten it, or raise WORKBENCH_MAX_PROMPT_CHARACTERS.",
        )
    if len(files) > limits.max_upload_files:
        raise BadInput(
            f"{len(files)} files were handed in; {limits.max_upload_files} are the most.",
            "Hand in fewer, or raise WORKBENCH_MAX_UPLOAD_FILES.",
        )
