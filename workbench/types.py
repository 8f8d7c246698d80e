"""The records, in the order in which they flow, and the roles that hand them on.

``crawl -> Document -> chunk -> Chunk -> encode -> Index`` once per corpus, and
``Question -> search -> Hits -> render -> Prompt -> generate -> Completion -> extract -> Answer``
once per question. Records are frozen: nothing is ever written back into an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

TaskName = Literal["generate", "summarize", "translate"]
TextKind = Literal["document", "query"]
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled", "refused", "broken", "unknown"]


# --- once per corpus -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """One crawled file.

    ``path`` is relative to the source's root, with forward slashes. ``language`` is a name of
    ``workbench.languages`` or None. ``license`` is an SPDX expression or None where unknown.
    ``sha256`` is that of ``text`` encoded as UTF-8.
    """

    path: str
    text: str
    language: str | None
    license: str | None
    source: str
    revision: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole lines of one document: what is embedded, found and shown.

    ``start_line`` and ``end_line`` count from 1 and are both included; ``text`` is exactly those
    lines. ``symbol`` is the dotted name of the function or class, None for a module head or a
    window of lines. ``header`` holds the lines that the text stands under and does not contain
    itself (the class, the signature of a function that was cut), one a line, "" for none.
    """

    id: str
    text: str
    path: str
    start_line: int
    end_line: int
    language: str | None
    symbol: str | None
    source: str
    license: str | None
    header: str = ""

    @property
    def location(self) -> str:
        """Name the place as ``heapq.py:120-141``."""
        return f"{self.path}:{self.start_line}-{self.end_line}"

    def _repr_markdown_(self) -> str:
        title = f"**{self.location}**" + (f" `{self.symbol}`" if self.symbol else "")
        fence = fence_for(self.text)
        return f"{title}\n\n{fence}{self.language or ''}\n{self.text}\n{fence}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a retriever returned. ``rank`` counts from 1; a higher ``score`` is better.

    Scores are comparable within one search only: BM25, cosine and fused ranks differ in scale.
    """

    chunk: Chunk
    score: float
    rank: int

    def _repr_markdown_(self) -> str:
        return f"{self.rank}. {self.chunk._repr_markdown_()}"


# --- once per question -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that the person asking handed in: its name, text, and language if known."""

    name: str
    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """All that a solver ever sees.

    generate: ``text`` is the request and ``target_language`` the language wanted; ``files`` are
    context. summarize and translate: the code is ``files``, or ``text`` where there are none;
    with files, ``text`` is an extra wish and may be empty. ``language`` is the language of the
    code handed in.
    """

    id: str
    task: TaskName
    text: str
    language: str | None = None
    target_language: str | None = None
    audience: str | None = None
    files: tuple[SourceFile, ...] = ()

    @property
    def query(self) -> str:
        """The text to search a corpus with: what is to be written, or else the code handed in."""
        if self.text.strip() and (self.task == "generate" or not self.files):
            return self.text
        return "\n\n".join(file.text for file in self.files)


@dataclass(frozen=True, slots=True)
class ProgramTests:
    """Tests that are a program in the candidate's own language and call it, as HumanEval's do.

    ``code`` runs the tests from beginning to end and fails by raising (or asserting). It calls
    ``entry_point``: a function's name, or an expression such as ``Solution().twoSum`` that it
    knows as ``candidate``; None where ``code`` calls names of the candidate freely, as MBPP's
    does. ``prelude`` are the imports, helpers and classes that candidate and tests both stand on.
    ``stub`` declares the function in a language with static types: its signature without a body.
    """

    language: str
    code: str
    entry_point: str | None = None
    prelude: str = ""
    stub: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function, and what it must return: plain JSON values.

    With several right returns, ``expected`` is one of them and ``others`` the rest.
    """

    args: tuple[Any, ...]
    expected: Any
    others: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CallTests:
    """Calls of one function with their expected values, the same in every language.

    ``parameters`` and ``returns`` are types: ``int`` (64 bits), ``float``, ``str``, ``bool``,
    ``list[T]``, ``dict[str, T]``. Floats are equal within ``tolerance``, relative or absolute.
    """

    entry_point: str
    parameters: tuple[tuple[str, str], ...]
    returns: str
    calls: tuple[Call, ...]
    tolerance: float = 1e-6


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a whole program: what it reads, and what it must print.

    With ``digest`` ("md5:..." or "sha256:..."), the digest of the stripped output is known only.
    """

    stdin: str
    stdout: str | None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class OutputTests:
    """Runs of a whole program. Lines are compared without the blanks at their ends.

    With ``tolerance``, words that are numbers on both sides are equal within it.
    """

    runs: tuple[Run, ...]
    tolerance: float | None = None


Tests = ProgramTests | CallTests | OutputTests


@dataclass(frozen=True, slots=True)
class Reference:
    """The answer key: only metrics ever see it.

    ``texts`` are right answers (code or a summary), the first one the suite's own. ``tests`` say
    whether code is right. ``prefix`` is text that a bare completion continues (HumanEval's
    prompt). ``relevant`` maps ids or symbols of chunks that help to their gain.
    """

    texts: tuple[str, ...] = ()
    tests: Tests | None = None
    prefix: str = ""
    relevant: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """One problem of a suite. ``tags`` split it: difficulty, topic, source language, ..."""

    question: Question
    reference: Reference
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: the messages, the template they came from, and the hits rendered into them.

    ``left_out`` are hits that were found but did not fit into the context length, best first.
    """

    messages: tuple[Message, ...]
    template: str
    hits: tuple[Hit, ...] = ()
    left_out: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample. ``max_tokens`` counts new tokens; temperature 0 is greedy decoding.

    ``sample`` counts the completions of one prompt from 0. It is no parameter of a model: it keeps
    apart, in the cache, what was drawn more than once. See ``nth``.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    sample: int = 0

    def nth(self, sample: int) -> SamplingParams:
        """Return the parameters of the sample of that number: a seed is counted on with it."""
        seed = None if self.seed is None else self.seed + sample - self.sample
        return replace(self, seed=seed, sample=sample)


SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "stop")
"""The fields of SamplingParams that a backend may honour or ignore."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as it arrives: one model token or a few, never empty.

    ``reasoning`` marks what a model thinks before it answers; it is no part of the answer.
    """

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What a backend was really given: the fair-prompt record of one call.

    ``messages`` are those that left the workbench, after any change that ``notes`` tell of (such
    as a system message put into the first user turn where a template knows no system role).
    ``text`` is the exact text after the chat template, None where a server applies it.
    ``parameters`` are the sampling parameters in force, by the names of SamplingParams.
    ``model`` identifies the weights as far as known (hub revision, sha256 of the file, the name a
    server reports), ``endpoint`` the server's url without password or query.
    """

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any]
    text: str | None = None
    model: str = ""
    endpoint: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """The raw end of one call: the whole text, its counts and times.

    ``seconds`` run from the call to the last token, ``first_token_seconds`` to the first one;
    loading a model counts in neither. Counts are None where the backend does not say.
    ``finish_reason`` "length" marks a text cut by ``max_tokens``, "refused" one that the model or
    its provider declined to write, "broken" and "cancelled" a partial one, "unknown" a complete
    one whose end was not explained. ``ignored`` names sampling parameters that the backend could
    not honour. ``reasoning`` is what the model thought, where it can be told apart; its tokens
    count as output. ``cost`` is in USD, None where the price is unknown; that of a ``cached``
    completion was paid when it was made. ``attempts`` counts the calls that it took.
    ``fallback_for`` names the backend that failed, where this one stepped in for it.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    seconds: float
    first_token_seconds: float | None
    finish_reason: FinishReason
    model: str
    ignored: tuple[str, ...] = ()
    reasoning: str = ""
    sent: Sent | None = None
    cost: float | None = None
    cached: bool = False
    attempts: int = 1
    fallback_for: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether this is all that the model had to say: not cut off, not stopped, not refused."""
        return self.finish_reason in ("stop", "length", "unknown")

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens a second, counted after the first token; None where unknown."""
        if self.output_tokens is None or self.first_token_seconds is None:
            return None
        decoding = self.seconds - self.first_token_seconds
        if self.output_tokens < 2 or decoding <= 0:
            return None
        return (self.output_tokens - 1) / decoding


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a backend: the prompt as sent, and what came back."""

    prompt: Prompt
    completion: Completion


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a task took out of a raw completion: the text, its language, and the rule that did."""

    text: str
    language: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one solver says to one question.

    ``text`` is extracted (code, or prose), ``raw`` the last completion as it came. ``hits`` stood
    in the prompt, ``left_out`` did not fit. ``steps`` hold every prompt with its completion.
    """

    text: str
    raw: str
    language: str | None
    rule: str
    hits: tuple[Hit, ...] = ()
    left_out: tuple[Hit, ...] = ()
    steps: tuple[Step, ...] = ()

    def _repr_markdown_(self) -> str:
        if self.language is None:
            return self.text
        fence = fence_for(self.text)
        return f"{fence}{self.language}\n{self.text}\n{fence}"


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's verdict on one answer. ``value`` None is "could not judge", never 0.

    ``statistics`` are sums that add up over answers, where a metric of a whole corpus is not the
    mean of its parts (BLEU). ``detail`` is a word on why: a verdict, an error.
    """

    metric: str
    value: float | None
    detail: str = ""
    statistics: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One solver's answer to one question, or the error that stands in its place.

    ``partial`` is the call that did not come to its end, with the text as far as it came. It is
    kept to be looked at, and is never scored.
    """

    solver: str
    question_id: str
    sample: int
    answer: Answer | None
    scores: tuple[Score, ...] = ()
    error: str | None = None
    partial: Step | None = None

    @property
    def calls(self) -> tuple[Completion, ...]:
        """All calls that are known of, in their order; the last one may be partial."""
        steps = self.answer.steps if self.answer is not None else ()
        partial = () if self.partial is None else (self.partial,)
        return tuple(step.completion for step in (*steps, *partial))


# --- what a solver says while it works -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loading:
    """Something that takes a while is being brought up, e.g. a model's weights."""

    what: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The search is done; ``seconds`` is how long it took."""

    hits: tuple[Hit, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt is about to be sent."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is complete. Always a solver's last event."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The solver stopped: the cause, and the command that mends it. Always the last event.

    ``partial`` is what had come until then, where the backend could still say.
    """

    error: str
    partial: Completion | None = None


Event = Loading | Retrieved | Prompted | Token | Answered


@dataclass(frozen=True, slots=True)
class Update:
    """One event of one solver among several that run side by side."""

    solver: str
    event: Event | Failed


# --- the roles -------------------------------------------------------------------------


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def fingerprint(self) -> str:
        """Identify all that decides a vector: model, revision, pooling, prefixes, dtype."""

    def encode(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Return float32[len(texts), dim] with rows of unit length."""


class Retriever(Protocol):
    """Finds chunks for a query."""

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits, best first, ranks from 1."""


class Backend(Protocol):
    """Anything that completes a prompt."""

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then exactly one Completion. Closing it stops the work.

        Raises:
            BackendError: the call failed; the message gives the cause and how to mend it.
        """


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do.

    ``sampling`` names the fields of SamplingParams that it honours; the others it reports as
    ignored. ``system_role`` False: a system message is put into the first user turn, and the
    completion says so. ``context_length`` counts tokens of prompt and completion together, None
    where it is not known. ``reasoning``: what the model thinks can be told from its answer.
    ``logprobs``: its interface gives log-probabilities. ``local``: it answers on this machine, for
    no money a call.
    """

    streaming: bool = True
    system_role: bool = True
    sampling: tuple[str, ...] = SAMPLING
    logprobs: bool = False
    context_length: int | None = None
    reasoning: bool = False
    local: bool = False


@runtime_checkable
class Declares(Protocol):
    """A backend that says what it can do."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""


@runtime_checkable
class Identified(Protocol):
    """A backend that says which model this is, so that its answers may be cached."""

    @property
    def identity(self) -> str:
        """Name all that decides an answer beside messages and parameters.

        The model with its revision or file hash, number type, adapter, template and endpoint.
        """


@runtime_checkable
class CountsTokens(Protocol):
    """A backend that knows its context length and can count a prompt against it."""

    @property
    def context_length(self) -> int:
        """Tokens that prompt and completion may fill together."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the messages after the model's own chat template."""


class Task(Protocol):
    """One of the three jobs: how to ask for it, and how to read what comes back."""

    @property
    def name(self) -> TaskName:
        """Its name."""

    @property
    def params(self) -> SamplingParams:
        """Its default sampling parameters."""

    def render(self, question: Question, hits: Sequence[Hit], fits: Fits | None = None) -> Prompt:
        """Write the prompt with as many hits as ``fits`` allows; the others are ``left_out``."""

    def extract(self, raw: str, question: Question) -> Extraction:
        """Take the answer out of a raw completion."""


class Fits(Protocol):
    """Says whether messages leave room for an answer."""

    def __call__(self, messages: Sequence[Message]) -> bool:
        """Return True where they fit into the backend's context length."""


class Solver(Protocol):
    """A backend, and how it is used."""

    @property
    def name(self) -> str:
        """The column's title; unique within a comparison."""

    def stream(self, question: Question) -> Iterator[Event]:
        """Yield events, the last one Answered. Closing it stops the work."""


class Metric(Protocol):
    """A rule that judges answers. It may be asked from several threads at once."""

    @property
    def name(self) -> str:
        """Its name: pass@1, BLEU, chrF, CodeBLEU, ..."""

    @property
    def signature(self) -> str:
        """Name and all settings that decide a value, as sacreBLEU's signatures do."""

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better."""

    def score(self, answer: Answer, example: Example) -> Score:
        """Judge one answer. What cannot be judged has the value None and says why."""

    def aggregate(self, by_question: Sequence[Sequence[Score]]) -> float | None:
        """Return the figure of a whole suite from the scores of each question's samples.

        Scores without a value are left out; None where there is nothing left.
        """


class Crawler(Protocol):
    """A source of code."""

    def crawl(self) -> Iterable[Document]:
        """Yield documents, in a stable order."""


class Chunker(Protocol):
    """A way of cutting documents."""

    @property
    def fingerprint(self) -> str:
        """Identify the chunker and its settings."""

    def chunk(self, document: Document) -> list[Chunk]:
        """Cut one document into chunks, in line order."""


def fence_for(text: str) -> str:
    """Return a code fence longer than any run of backticks in ``text`` (CommonMark 4.5)."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return "`" * max(3, longest + 1)
