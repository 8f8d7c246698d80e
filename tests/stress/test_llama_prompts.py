"""Whole batches that are kept of a prompt change nothing, with the model that llama.cpp's own
prompt cache does change: of its 12 greedy answers to such prompts, four."""

from __future__ import annotations

import pytest

from workbench.backends import load_backend, unload_all
from workbench.backends.llama_slots import Slots
from workbench.types import Completion, Message, Prompt, SamplingParams

SYSTEM = "You are a careful programmer. " + (
    "Write clear, short, idiomatic and well tested code; answer with one code block and nothing"
    " else, and never explain yourself. " * 10
)
WISHES = (
    "Merge overlapping intervals in a list.",
    "Reverse a linked list.",
    "Compute the n-th Fibonacci number.",
    "Find duplicates in a list.",
    "Rotate a matrix.",
    "Transpose a dict of lists.",
)


@pytest.mark.models
def test_greedy_answers_stay_the_same_whatever_prompt_was_read_before(models_home, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "1024")
    monkeypatch.setenv("WORKBENCH_SLOTS", "1")
    backend = load_backend("llama-cpp/qwen2.5-coder-0.5b")

    def ask(wish: str, *, anew: bool) -> Completion:
        if anew:
            backend._slots = Slots(1, 128)
        asked = Prompt((Message("system", SYSTEM), Message("user", f"In Python: {wish}")), "test")
        return list(backend.stream(asked, SamplingParams(max_tokens=40)))[-1]

    fresh = [ask(wish, anew=True) for wish in WISHES]
    kept = [ask(wish, anew=False) for wish in WISHES]
    unload_all()

    assert not any(one.sent.notes for one in fresh)
    assert all("256 of the prompt's" in one.sent.notes[0] for one in kept)
    assert [one.text for one in kept] == [one.text for one in fresh]
    assert sum(one.first_token_seconds for one in kept) < 0.5 * sum(
        one.first_token_seconds for one in fresh
    )
