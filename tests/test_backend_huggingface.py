"""The same weights through PyTorch: what is sampled, where it stops, and what cannot be loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.backends import load_backend, unload_all
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, MissingModel
from workbench.types import Completion, Message, Prompt, SamplingParams

PROMPT = Prompt((Message("user", "Count from one to ten in words."),), "test")


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    yield
    unload_all()


@pytest.fixture
def model(models_home: Path, monkeypatch: pytest.MonkeyPatch):
    # Two PyTorch threads on two busy cores wait for each other more than they work.
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    return load_backend("transformers/smollm2-135m")


def answer(backend, **params: object) -> Completion:
    return list(backend.stream(PROMPT, SamplingParams(**{"max_tokens": 6, **params})))[-1]


@pytest.mark.models
def test_a_seed_repeats_a_sampled_answer_and_another_seed_does_not(model):
    texts = [answer(model, temperature=2.0, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.models
def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(model):
    whole = answer(model).text
    stop = whole[3:6]

    cut = answer(model, stop=(stop,))

    assert (cut.text, cut.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.models
def test_the_messages_become_the_same_tokens_as_in_llama_cpp(model):
    messages = (Message("system", "Be brief: größe 🙂."), Message("user", "def f():\n    pass"))
    assert model.count_tokens(messages) == load_backend("llama-cpp/smollm2-135m").count_tokens(
        messages
    )


@pytest.mark.models
def test_cancelling_is_heard_while_the_prompt_is_read(model):
    long = Prompt((Message("user", "hello world " * 1500),), "test")
    event = threading.Event()
    threading.Timer(0.5, event.set).start()

    with cancelled_by(event):
        events = list(model.stream(long, SamplingParams()))
    assert [type(one) for one in events] == [Completion]
    assert events[0].finish_reason == "cancelled"

    start = time.perf_counter()
    with model._engine.batcher.paused():  # waits for as long as the model works
        assert time.perf_counter() - start < 2


@pytest.mark.models
def test_nothing_is_printed(model, capfd):
    answer(model)
    answer(model, temperature=1.0)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_hub_that_cannot_be_reached_is_one_line():
    with pytest.raises(MissingModel, match="nobody/nothing") as caught:
        load_backend("transformers/nobody/nothing")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(MissingModel, match="safetensors"):
        load_backend(f"transformers/{tmp_path}")


def test_an_unknown_number_type_is_named(monkeypatch):
    from workbench.backends.hf_loading import best_dtype

    monkeypatch.setenv("WORKBENCH_DTYPE", "float17")
    with pytest.raises(BackendError, match="float17"):
        best_dtype("cpu")
