"""llama.cpp inside this process: slots, cancelling, determinism, and what is no model."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from workbench.backends import load_backend, unload, unload_all
from workbench.backends.llama_cpp import LlamaCpp
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, MissingModel
from workbench.types import Completion, Message, Prompt, SamplingParams, Token

NAME = "llama-cpp/smollm2-135m"
SLOTS = 4


def prompt(text: str) -> Prompt:
    return Prompt((Message("user", text),), "test")


PROMPT = prompt("Count from one to twenty in words.")


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    yield
    unload_all()


@pytest.fixture(autouse=True)
def one_thread(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine two threads of one model wait for each other."""
    monkeypatch.setenv("WORKBENCH_THREADS", "1")


@pytest.fixture
def model(models_home: Path) -> LlamaCpp:
    loaded = load_backend(NAME)
    assert isinstance(loaded, LlamaCpp)
    return loaded


def answer(backend: LlamaCpp, asked: Prompt = PROMPT, **params: object) -> Completion:
    return list(backend.stream(asked, SamplingParams(**{"max_tokens": 16, **params})))[-1]


def working_slots(backend: LlamaCpp) -> int:
    return sum(slot["is_processing"] for slot in backend._http.get("/slots").json())


def wait_until_idle(backend: LlamaCpp, seconds: float) -> bool:
    end = time.perf_counter() + seconds
    while working_slots(backend):
        if time.perf_counter() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.models
def test_greedy_answers_repeat_whatever_was_asked_before(model):
    first = answer(model).text
    answer(model, prompt("Count from one to twenty in words, please."))
    assert answer(model).text == first


@pytest.mark.models
def test_a_seed_repeats_a_sampled_answer_and_another_seed_does_not(model):
    def sampled(seed: int) -> str:
        return answer(model, temperature=1.5, seed=seed).text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in (1, 2, 3)}) > 1


@pytest.mark.models
def test_a_tiny_top_p_samples_greedily(model):
    assert answer(model, temperature=1.5, top_p=1e-6).text == answer(model).text


@pytest.mark.models
def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(model):
    whole = answer(model).text
    stop = whole.split()[2]

    cut = answer(model, stop=(stop,))

    assert cut.finish_reason == "stop"
    assert cut.text == whole[: whole.index(stop)]


@pytest.mark.models
def test_a_prompt_beyond_the_context_is_refused_with_its_length(model):
    too_long = prompt("word " * (model.context_length + 1))
    count = model.count_tokens(too_long.messages)

    with pytest.raises(BackendError, match=f"{count:,} tokens.*reads {model.context_length:,}"):
        answer(model, too_long)


@pytest.mark.models
def test_every_slot_has_the_whole_context_length(model):
    slots = model._http.get("/slots").json()
    assert [slot["n_ctx"] for slot in slots] == [model.context_length] * SLOTS


@pytest.mark.models
def test_closing_frees_the_slot_within_two_seconds(model):
    with closing(model.stream(PROMPT, SamplingParams(max_tokens=4000))) as stream:
        assert isinstance(next(stream), Token)
        assert working_slots(model) == 1

    assert wait_until_idle(model, 2)


@pytest.mark.models
def test_cancelling_is_heard_while_the_prompt_is_read(model):
    event = threading.Event()
    threading.Timer(0.5, event.set).start()

    with cancelled_by(event):
        events = list(model.stream(prompt("hello world " * 3000), SamplingParams()))

    assert [type(one) for one in events] == [Completion]
    assert events[0].finish_reason == "cancelled"
    assert wait_until_idle(model, 2)


@pytest.mark.models
def test_more_requests_than_slots_are_all_answered(model):
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(answer(model, max_tokens=4).text))
        for _ in range(SLOTS + 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts) == SLOTS + 2 and all(texts)


@pytest.mark.models
def test_the_http_side_lets_nobody_in_without_the_secret(model):
    url = f"{model._server.listening_address}/v1/chat/completions"
    refused = httpx2.post(url, json={"messages": []}, trust_env=False)
    assert refused.status_code == 401


@pytest.mark.models
def test_loading_says_nothing_and_leaves_ctrl_c_alone(models_home, capfd):
    handler = ctypes.pythonapi.PyOS_getsig
    handler.restype = ctypes.c_void_p
    before = [handler(number) for number in (signal.SIGINT, signal.SIGTERM)]
    unload(NAME)

    answer(load_backend(NAME))

    assert [handler(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.models
def test_unloading_ends_what_runs_and_refuses_what_comes(models_home):
    backend = load_backend(NAME)
    stream = backend.stream(PROMPT, SamplingParams(max_tokens=4000))
    next(stream)
    unload(NAME)

    assert list(stream)[-1].finish_reason == "cancelled"
    with pytest.raises(BackendError, match="unloaded"):
        answer(backend)


@pytest.mark.parametrize("content", [b"", b"GG", b"hello, I am no model", b"GGUF" + b"\1" * 400])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "model.gguf"
    file.write_bytes(content)

    with pytest.raises(BackendError, match=r"model\.gguf") as caught:
        load_backend(f"llama-cpp/{file}")

    assert "\n" not in str(caught.value)


@pytest.mark.models
def test_a_truncated_model_is_refused(models_home, tmp_path):
    whole = next((models_home / "models" / "smollm2-135m").glob("*.gguf"))
    file = tmp_path / "half.gguf"
    with whole.open("rb") as source:
        file.write_bytes(source.read(5_000_000))

    with pytest.raises(BackendError, match=r"cannot load half\.gguf"):
        load_backend(f"llama-cpp/{file}")


def test_absent_weights_say_how_to_get_them(monkeypatch):
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    with pytest.raises(MissingModel, match="workbench models pull smollm2-135m"):
        load_backend(NAME)
