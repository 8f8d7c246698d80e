"""One prompt, one completion."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import BackendError, BadInput, UnknownName
from workbench.types import (
    SAMPLING,
    Answer,
    Answered,
    Backend,
    Completion,
    CountsTokens,
    Event,
    Hit,
    Message,
    Prompt,
    Prompted,
    Question,
    Retrieved,
    Retriever,
    SamplingParams,
    Step,
    Task,
    Token,
)

# What a runner may add to the counted prompt: a token that begins the text, one that ends it.
RESERVE = 16


@dataclass(frozen=True, slots=True)
class Direct:
    """Searches where there is a retriever, asks the backend once, and extracts the answer.

    ``name`` is the column's title. ``k`` is how many hits to ask the retriever for.
    ``overrides`` are the fields of SamplingParams that the user set; the task's defaults hold
    for the others. ``sample`` is the number of the completion that is drawn, see
    ``SamplingParams.nth``.

    Raises:
        UnknownName: an override is no field of SamplingParams.
    """

    backend: Backend
    tasks: Callable[[str], Task]
    name: str = field(kw_only=True)
    retriever: Retriever | None = field(default=None, kw_only=True)
    k: int = field(default=5, kw_only=True)
    overrides: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    sample: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for given in self.overrides:
            if given not in SAMPLING:
                raise UnknownName("sampling parameter", given, SAMPLING)

    def with_sample(self, number: int) -> Direct:
        """Return the solver that draws the sample of that number."""
        return dataclasses.replace(self, sample=number)

    def stream(self, question: Question) -> Iterator[Event]:
        """Yield Retrieved (with a retriever only), Prompted, Tokens, then Answered.

        Closing it closes the backend's stream.

        Raises:
            BadInput: the question cannot be asked, or is too long for the backend.
            BackendError: the backend failed.
        """
        task = self.tasks(question.task)
        params = dataclasses.replace(task.params, **self.overrides).nth(self.sample)
        fits = _Room(self.backend, params) if isinstance(self.backend, CountsTokens) else None
        # A question that cannot be asked is refused before it is searched for.
        bare = task.render(question, ())
        if fits is not None:
            fits.require(bare.messages)
        prompt = bare
        if self.retriever is not None and self.k > 0:
            retrieved = _search(self.retriever, question.query, self.k)
            yield retrieved
            prompt = task.render(question, retrieved.hits, fits)
        yield Prompted(prompt)
        completion = yield from _complete(self.backend, prompt, params)
        yield Answered(_answer(task, question, prompt, completion))


def _search(retriever: Retriever, query: str, k: int) -> Retrieved:
    start = time.perf_counter()
    hits: tuple[Hit, ...] = tuple(retriever.search(query, k))
    return Retrieved(hits, time.perf_counter() - start)


def _complete(
    backend: Backend, prompt: Prompt, params: SamplingParams
) -> Generator[Token, None, Completion]:
    parts = backend.stream(prompt, params)
    try:
        for part in parts:
            if isinstance(part, Completion):
                return part
            yield part
    finally:
        # Without this a model goes on computing until the garbage collector finds the stream.
        if close := getattr(parts, "close", None):
            close()
    raise BackendError("The backend ended without a completion.", "Run it again with --debug.")


def _answer(task: Task, question: Question, prompt: Prompt, completion: Completion) -> Answer:
    found = task.extract(completion.text, question)
    return Answer(
        text=found.text,
        raw=completion.text,
        language=found.language,
        rule=found.rule,
        hits=prompt.hits,
        left_out=prompt.left_out,
        steps=(Step(prompt, completion),),
    )


@dataclass(frozen=True, slots=True)
class _Room:
    """The backend's context length, less what the answer may take."""

    backend: CountsTokens
    params: SamplingParams

    @property
    def tokens(self) -> int:
        return self.backend.context_length - self.params.max_tokens - RESERVE

    def __call__(self, messages: Sequence[Message]) -> bool:
        return self.backend.count_tokens(messages) <= self.tokens

    def require(self, messages: Sequence[Message]) -> None:
        count = self.backend.count_tokens(messages)
        if count > self.tokens:
            raise BadInput(
                f"The prompt has {count:,} tokens and the answer may take"
                f" {self.params.max_tokens:,}, but the context length is"
                f" {self.backend.context_length:,}.",
                "Shorten the prompt, lower max_tokens, or raise WORKBENCH_CONTEXT_LENGTH.",
            )
