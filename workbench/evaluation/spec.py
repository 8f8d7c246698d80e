"""What an evaluation is made of, in names and numbers, and the solvers that these make.

A solver is a backend and an *arm*: what it is given beside the question. "plain" is given nothing,
"retrieval" the hits of an embedder, and "oracle" the hits for the answer key's text.

The oracle is the only place at which an answer key comes near an exam room, and it never comes
in: its text is put to the search engine in place of the question, and what the solver sees are
chunks of the corpus, from which those that hold a solution were taken out (``exclude``). It says
how much retrieval could help if the query were as good as the answer itself; its figures are an
upper bound, and no solver that anybody could run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from workbench.backends import check_backend
from workbench.backends.ready import Calls
from workbench.corpus import DEFAULT_CHUNKER
from workbench.errors import BadInput, MissingCorpus, UnknownName
from workbench.evaluation.records import ORACLE, PLAIN
from workbench.prompts import load_template
from workbench.retrieval import Index, check_retriever
from workbench.spec import (
    DEFAULT_BACKEND,
    DEFAULT_K,
    CorpusRetriever,
    RunSpec,
    open_corpus_index,
    solver,
)
from workbench.suites.solutions import SOLUTIONS
from workbench.tasks import load_task
from workbench.types import SAMPLING, Example

if TYPE_CHECKING:
    from workbench.suites import Suite
    from workbench.types import Hit, Retriever, Solver

AGENTS = ("direct",)
NOTHING = "none"
"""What ``exclude`` is called where nothing is to be left out of a corpus."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One solver to be: its name, all that decides its answers, and how to make it."""

    name: str
    told: Mapping[str, Any]
    make: Callable[[str], Solver]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that solvers share whose answers may stand for each other."""
        return digest_of(self.told)


def digest_of(told: Any) -> str:
    """Return sixteen hex digits that stand for plain data."""
    canonical = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """What an evaluation is made of, in names and numbers alone.

    Each of the ``backends`` answers plainly, with the hits of each of the ``embedders`` in
    ``corpus`` (none named: the one that was indexed last), and with ``oracle`` those of the first
    one for the answer key. ``plain`` False leaves out what is given nothing. ``exclude`` names the
    suite whose solutions are left out of the corpus: None for this one's where they are known,
    "none" to leave in everything. Without ``metrics``: the suite's own. ``writer`` is the backend
    that writes code from summaries for the round trip. The rest is as in RunSpec.
    """

    suite: str
    backends: tuple[str, ...] = (DEFAULT_BACKEND,)
    agents: tuple[str, ...] = AGENTS
    limit: int | None = None
    samples: int = 1
    metrics: tuple[str, ...] = ()
    corpus: str | None = None
    embedders: tuple[str, ...] = ()
    chunker: str = DEFAULT_CHUNKER
    retriever: str | None = None
    k: int = DEFAULT_K
    exclude: str | None = None
    plain: bool = True
    oracle: bool = False
    params: Mapping[str, Any] | None = None
    cache: bool = True
    budget: float | None = None
    fallback: str | None = None
    workers: int | None = None
    writer: str | None = None

    @classmethod
    def read(cls, path: Path) -> EvaluationSpec:
        """Read a TOML file; see ``from_table``.

        Raises:
            BadInput: it cannot be read, or says what nobody understands.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            cause = getattr(error, "strerror", None) or str(error)
            raise BadInput(f"{path} cannot be read: {cause}.", "Check the file.") from error
        return cls.from_table(table)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> EvaluationSpec:
        """Make a spec of plain data, as a TOML file or the run store holds it.

        Sampling parameters may stand beside the rest (``temperature = 0.2``) or under ``params``;
        where a list is wanted, one name is a list of one.

        Raises:
            BadInput: a name is unknown, or a value is of the wrong kind.
        """
        known = {field.name for field in fields(cls)}
        params = dict(table.get("params") or {})
        given = {}
        for name, value in table.items():
            if name in SAMPLING:
                params[name] = value
            elif name not in known:
                raise UnknownName("setting of an evaluation", name, [*known, *SAMPLING])
            else:
                given[name] = [value] if name in _LISTS and isinstance(value, str) else value
        try:
            made: EvaluationSpec = _adapter().validate_python({**given, "params": params or None})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInput(f"'{where}' of the evaluation: {first['msg']}.", "Mend it.") from None
        return made

    def table(self) -> dict[str, Any]:
        """Return plain data of which ``from_table`` makes this spec again."""
        return asdict(self)

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling parameters that were set."""
        return dict(self.params or {})

    def check(self) -> None:
        """Find what is wrong with the names and numbers before anything is loaded.

        Raises:
            BadInput: or one of its kinds, with the nearest right name where one is wrong.
        """
        if not self.backends:
            raise BadInput("No backend was chosen.", "Choose one: workbench models list")
        for name in (*self.backends, self.fallback, self.writer):
            if name is not None:
                check_backend(name)
        for name in self.agents:
            if name not in AGENTS:
                raise UnknownName("agent", name, AGENTS)
        for name, least in (("samples", 1), ("limit", 1), ("k", 1), ("workers", 1), ("budget", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadInput(f"{name} is {value}.", f"Take {least} or more.")
        if self.retriever is not None:
            check_retriever(self.retriever)
        if self.corpus is None and (self.oracle or self.embedders or not self.plain):
            raise BadInput("There is no corpus to search.", "Name one: --corpus python-stdlib")

    def excluded(self) -> str | None:
        """Return the suite whose solutions are left out of the corpus, None for none."""
        if self.corpus is None or self.exclude == NOTHING:
            return None
        if self.exclude is not None:
            return self.exclude
        kind = self.suite.partition(":")[0].partition("-")[0]
        return kind if kind in SOLUTIONS else None

    def arms(self, suite: Suite) -> list[Arm]:
        """Return one solver to be for each backend and arm. They share one budget.

        Raises:
            MissingCorpus: the corpus was not crawled, or not indexed so; says how to.
            BadInput: a sampling parameter is wrong.
        """
        task = load_task(suite.task)
        asked = RunSpec(params=tuple(self.sampling.items())).sampling(task.params)
        base = {
            "agent": "direct",
            "params": {name: getattr(asked, name) for name in SAMPLING},
            "templates": {suite.task: load_template(suite.task).digest},
            "fallback": self.fallback,
        }
        calls = Calls.within(self.budget, cache=self.cache, fallback=self.fallback)
        searches = self._searches(suite.examples)
        return [
            self._arm(backend, suffix, {"backend": backend, **base, **told}, found, calls)
            for backend in dict.fromkeys(self.backends)
            for suffix, told, found in searches
        ]

    def _arm(
        self,
        backend: str,
        suffix: str,
        told: Mapping[str, Any],
        found: Retriever | None,
        calls: Calls,
    ) -> Arm:
        def make(name: str) -> Solver:
            return solver(
                backend, retriever=found, k=self.k, name=name, calls=calls, **self.sampling
            )

        return Arm(backend + suffix, told, make)

    def _searches(
        self, examples: Sequence[Example]
    ) -> list[tuple[str, dict[str, Any], Retriever | None]]:
        """Return what is given beside the question: suffix of the name, description, search."""
        made: list[tuple[str, dict[str, Any], Retriever | None]] = []
        if self.plain or self.corpus is None:
            made.append(("", {"arm": PLAIN}, None))
        if self.corpus is None:
            return made
        exclude = self.excluded()
        embedders: tuple[str | None, ...] = self.embedders or (None,)
        for number, embedder in enumerate(dict.fromkeys(embedders)):
            names = (self.corpus, embedder, self.chunker, exclude)
            index = _opened(*names)
            told = self._search_told(index, exclude)
            found = CorpusRetriever(*names, self.retriever)
            made.append((f" + {self.corpus}/{index.info.embedder}", told, found))
            if number == 0 and self.oracle:
                oracle = {**told, "arm": ORACLE}
                made.append((f" + {self.corpus}/oracle", oracle, OracleRetriever(found, examples)))
        # The oracle is drawn last: it is the bound of the others.
        return sorted(made, key=lambda one: one[1]["arm"] == ORACLE)

    def _search_told(self, index: Index, exclude: str | None) -> dict[str, Any]:
        return {
            "arm": "retrieval",
            "corpus": index.info.corpus,
            "corpus_digest": index.info.corpus_digest,
            "embedder": index.info.embedder,
            "fingerprint": index.info.fingerprint,
            "chunker": index.info.chunker,
            "retriever": self.retriever or index.mode,
            "k": self.k,
            "exclude": exclude,
        }


def _opened(corpus: str, embedder: str | None, chunker: str, exclude: str | None) -> Index:
    """Open an index; where there is none without the solutions, say how to get that one.

    Raises:
        MissingCorpus: the corpus was not crawled, or not indexed so.
    """
    try:
        return open_corpus_index(corpus, embedder, chunker, exclude)
    except MissingCorpus as error:
        if exclude is None or "workbench index" not in error.remedy:
            raise
        raise MissingCorpus(error.cause, f"{error.remedy} --exclude {exclude}") from error


_LISTS = ("backends", "agents", "metrics", "embedders")


@functools.cache
def _adapter() -> TypeAdapter[EvaluationSpec]:
    return TypeAdapter(EvaluationSpec)


class OracleRetriever:
    """Searches for the answer key's text where it is asked for the question's; see above.

    Of two questions in the same words, which have the same right answers, the first one's key is
    searched for. A question without a key is searched for by its own words.
    """

    def __init__(self, inner: Retriever, examples: Sequence[Example]) -> None:
        self._inner = inner
        self._keys: dict[str, str] = {}
        for example in examples:
            if example.reference.texts:
                self._keys.setdefault(example.question.query, example.reference.texts[0])

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the ``k`` best hits for the key of the question that ``query`` is."""
        return self._inner.search(self._keys.get(query, query), k)
