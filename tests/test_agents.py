"""How a backend is used: one prompt, one completion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from workbench.agents import Direct
from workbench.errors import BackendError, BadInput, UnknownName
from workbench.tasks import load_task
from workbench.types import (
    Answered,
    Chunk,
    Completion,
    Event,
    Hit,
    Message,
    Prompt,
    Prompted,
    Question,
    Retrieved,
    SamplingParams,
    Step,
    Token,
)

QUESTION = Question("q", "generate", "add two numbers")
REPLY = "Sure:\n```python\nx = 1\n```\n"
FOUND = tuple(
    Hit(Chunk(f"c{n}", "word " * 20, f"f{n}.py", n, n, None, None, "s", None), 1 / n, n)
    for n in range(1, 6)
)


@dataclass
class Scripted:
    """Says what it is told to, and notes what it was asked and whether it was closed."""

    reply: str = REPLY
    ends: bool = True
    prompts: list[Prompt] = field(default_factory=list)
    params: list[SamplingParams] = field(default_factory=list)
    closed: int = 0

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        self.prompts.append(prompt)
        self.params.append(params)
        try:
            for piece in self.reply.splitlines(keepends=True):
                yield Token(piece)
            if self.ends:
                yield Completion(self.reply, 1, 2, 0.1, 0.1, "stop", "scripted")
        finally:
            self.closed += 1


@dataclass
class Counting(Scripted):
    """A scripted backend with a context length; a word is a token."""

    context_length: int = 1_000

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)


@dataclass
class Shelf:
    """Finds the first ``k`` hits for whatever it is asked."""

    queries: list[str] = field(default_factory=list)

    def search(self, query: str, k: int) -> list[Hit]:
        self.queries.append(query)
        return list(FOUND[:k])


def answered(events: Sequence[Event]) -> Answered:
    last = events[-1]
    assert isinstance(last, Answered)
    return last


def test_events_come_in_order_and_the_answer_last() -> None:
    backend, shelf = Scripted(), Shelf()
    events = list(Direct(backend, load_task, name="d", retriever=shelf, k=2).stream(QUESTION))
    retrieved, prompted, *tokens, last = events
    assert isinstance(retrieved, Retrieved)
    assert retrieved.hits == FOUND[:2]
    assert retrieved.seconds >= 0
    assert prompted == Prompted(backend.prompts[0])
    assert "".join(token.text for token in tokens if isinstance(token, Token)) == REPLY
    answer = answered(events).answer
    assert events[-1] is last
    assert (answer.text, answer.raw, answer.language, answer.rule) == (
        "x = 1",
        REPLY,
        "python",
        "fence",
    )
    assert answer.hits == FOUND[:2]
    assert [type(step) for step in answer.steps] == [Step]
    assert answer.steps[0].prompt == backend.prompts[0]
    assert shelf.queries == ["add two numbers"]


@pytest.mark.parametrize(("shelf", "k"), [(None, 5), (Shelf(), 0)])
def test_without_a_retriever_or_k_nothing_is_searched(shelf: Shelf | None, k: int) -> None:
    direct = Direct(Scripted(), load_task, name="d", retriever=shelf, k=k)
    events = list(direct.stream(QUESTION))
    assert isinstance(events[0], Prompted)
    assert answered(events).answer.hits == ()
    assert shelf is None or shelf.queries == []


def test_the_query_of_a_translation_is_its_code() -> None:
    shelf = Shelf()
    question = Question("q", "translate", "x = 1", "python", "java")
    list(Direct(Scripted(), load_task, name="d", retriever=shelf).stream(question))
    assert shelf.queries == ["x = 1"]


def test_what_the_user_set_overrides_the_task_and_nothing_else() -> None:
    backend = Scripted()
    overrides = {"temperature": 0.7, "seed": None}
    list(Direct(backend, load_task, name="d", overrides=overrides).stream(QUESTION))
    defaults = load_task("generate").params
    assert backend.params == [replace(defaults, temperature=0.7, seed=None)]


def test_an_unknown_parameter_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean temperature"):
        Direct(Scripted(), load_task, name="d", overrides={"temprature": 1.0})


def test_hits_that_do_not_fit_are_left_out_by_rank_and_reported() -> None:
    bare = Counting(context_length=100_000)
    list(Direct(bare, load_task, name="d").stream(QUESTION))
    needed = bare.count_tokens(bare.prompts[0].messages)
    backend = Counting(context_length=needed + 10 + 16 + 100)
    direct = Direct(
        backend, load_task, name="d", retriever=Shelf(), k=5, overrides={"max_tokens": 10}
    )
    answer = answered(list(direct.stream(QUESTION))).answer
    assert 0 < len(answer.hits) < 5
    assert answer.hits + answer.left_out == FOUND
    assert backend.count_tokens(backend.prompts[0].messages) + 10 <= backend.context_length


def test_a_backend_without_a_context_length_gets_every_hit() -> None:
    direct = Direct(Scripted(), load_task, name="d", retriever=Shelf(), k=5)
    assert answered(list(direct.stream(QUESTION))).answer.hits == FOUND


def test_a_prompt_too_long_by_itself_is_refused_before_the_search() -> None:
    backend, shelf = Counting(context_length=700), Shelf()
    direct = Direct(backend, load_task, name="d", retriever=shelf)
    with pytest.raises(BadInput, match=r"tokens and the answer may take 768.* is 700\."):
        list(direct.stream(QUESTION))
    assert (backend.prompts, shelf.queries) == ([], [])


def test_a_question_that_cannot_be_asked_is_refused_before_the_search() -> None:
    shelf = Shelf()
    with pytest.raises(BadInput, match="The prompt is empty"):
        list(
            Direct(Scripted(), load_task, name="d", retriever=shelf).stream(
                replace(QUESTION, text=" ")
            )
        )
    assert shelf.queries == []


def test_closing_the_solver_closes_the_backend_at_once() -> None:
    backend = Scripted()
    events = Direct(backend, load_task, name="d").stream(QUESTION)
    assert isinstance(next(events), Prompted)
    assert next(events) == Token("Sure:\n")
    assert backend.closed == 0
    events.close()  # type: ignore[attr-defined]
    assert backend.closed == 1


def test_the_backend_is_closed_when_it_is_done() -> None:
    backend = Scripted()
    list(Direct(backend, load_task, name="d").stream(QUESTION))
    assert backend.closed == 1


def test_a_backend_that_ends_without_a_completion_has_failed() -> None:
    with pytest.raises(BackendError, match="without a completion"):
        list(Direct(Scripted(ends=False), load_task, name="d").stream(QUESTION))


def test_nothing_found_is_an_empty_answer_that_says_so() -> None:
    reply = "I'm sorry, but I can't help with that."
    events = list(Direct(Scripted(reply), load_task, name="d").stream(QUESTION))
    answer = answered(events).answer
    assert (answer.text, answer.rule, answer.raw) == ("", "nothing", reply)
