"""Limits, budget, cache and fallback around a backend, in their order, by the front door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai import fake_server
from langchain_core.language_models import FakeListChatModel

import workbench as wb
from workbench.backends import unload_all
from workbench.backends.budget import Budget
from workbench.backends.ready import Calls, ready, ready_backend
from workbench.errors import BackendError, MissingModel, OverBudget
from workbench.types import Capabilities, Completion, Message, Prompt, SamplingParams, Token

PROMPT = Prompt((Message("user", "Say it."),), "test")


class Counted:
    """Answers with how often it was asked."""

    name = "openai/gpt-4o"

    def __init__(self, *, local: bool = False) -> None:
        self.calls = 0
        self.capabilities = Capabilities(local=local)
        self.identity = "counted"

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        self.calls += 1
        yield Token(str(self.calls))
        yield Completion(str(self.calls), 1000, 1000, 0.1, 0.1, "stop", self.name)


@pytest.fixture(autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    yield
    unload_all()


def answer(backend: Any, **params: Any) -> Completion:
    *_, completion = backend.stream(PROMPT, SamplingParams(**params))
    assert isinstance(completion, Completion)
    return completion


def test_an_answer_from_the_cache_costs_nothing_of_the_budget(home: Path) -> None:
    budget, backend = Budget(1.0), Counted()
    once = answer(ready(backend, Calls(budget=budget)), max_tokens=10)
    spent = budget.spent
    again = answer(ready(backend, Calls(budget=budget)), max_tokens=10)
    assert once.cost is not None and spent == pytest.approx(once.cost) and spent > 0
    assert (again.text, again.cached, again.cost) == ("1", True, once.cost)
    assert (backend.calls, budget.spent) == (1, spent)


def test_without_the_cache_all_is_asked_anew_and_nothing_is_kept(home: Path) -> None:
    backend = Counted()
    assert [answer(ready(backend, Calls(cache=False))).text for _ in range(2)] == ["1", "2"]
    assert answer(ready(backend, Calls())).text == "3"


def test_a_call_that_might_cost_too_much_is_not_made() -> None:
    backend = Counted()
    with pytest.raises(OverBudget):
        answer(ready(backend, Calls(budget=Budget(0.000001))), max_tokens=1000)
    assert backend.calls == 0


def test_a_local_answer_costs_nothing_and_needs_no_budget() -> None:
    backend = Counted(local=True)
    assert answer(ready(backend, Calls(budget=Budget(0.0)))).cost == 0.0


def test_a_fallback_answers_for_a_backend_that_cannot_be_loaded(home: Path) -> None:
    with fake_server() as server:
        calls = Calls(fallback=f"openai-compatible/echo@{server.url}/v1")
        with ready_backend("llama-cpp/qwen2.5-coder-1.5b", calls) as backend:
            completion = answer(backend)
    assert completion.fallback_for == "llama-cpp/qwen2.5-coder-1.5b"
    assert completion.text == "Say it."


def test_without_a_fallback_the_error_stays_an_error(home: Path) -> None:
    ready_to_fail = ready_backend("llama-cpp/qwen2.5-coder-1.5b", Calls())
    with pytest.raises((MissingModel, BackendError)), ready_to_fail:
        pass


def test_the_budget_of_the_environment_is_one_for_the_whole_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKBENCH_BUDGET", "0.25")
    assert Calls.within().budget is Calls.within().budget
    assert Calls.within(0.25).budget is not Calls.within(0.25).budget


def test_a_chat_model_of_langchain_is_asked_like_any_backend(home: Path) -> None:
    told = wb.ask("x", backends=[FakeListChatModel(responses=["```python\nx = 1\n```"])])
    [column] = told
    assert column.error is None
    assert column.best_text.strip() == "x = 1"
    assert column.steps[0].completion.sent is not None


def test_a_comparison_says_which_answer_was_a_fallback_and_stores_it(home: Path) -> None:
    with fake_server() as server:
        fallback = f"openai-compatible/echo@{server.url}/v1"
        told = wb.ask("x", backends=["llama-cpp/qwen2.5-coder-1.5b"], fallback=fallback)
    completion = wb.open_run(told.run or "").columns[0].completion
    assert completion is not None
    assert completion.fallback_for == "llama-cpp/qwen2.5-coder-1.5b"
    assert completion.model != completion.fallback_for
