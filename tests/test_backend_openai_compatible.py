"""A server may refuse, fail, break off, fall silent or talk nonsense: never is that an answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fake_openai import FakeServer, fake_server

from workbench.backends import load_backend, unload_all
from workbench.backends.openai_compatible import KEY
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, BrokenOff, MissingKey, WorkbenchError
from workbench.types import Completion, Message, Prompt, SamplingParams, Token

PROMPT = Prompt((Message("system", "Echo."), Message("user", "eins zwei 数 🙂")), "test")
SECRET = "sk-very-secret-1234567890"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as running:
        yield running
    unload_all()


def ask(
    server: FakeServer, model: str = "echo", path: str = "/v1", **params: object
) -> list[Token | Completion]:
    backend = load_backend(f"openai-compatible/{model}@{server.url}{path}")
    return list(backend.stream(PROMPT, SamplingParams(**params)))


def test_the_server_gets_the_messages_and_parameters_as_they_are(server, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)

    completion = ask(server, temperature=0.5, top_p=0.9, max_tokens=9, seed=7, stop=("\n",))[-1]

    assert completion.text == "eins zwei 数 🙂"
    assert (completion.input_tokens, completion.output_tokens) == (4, 4)
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert server.requests == [
        {
            "model": "echo",
            "messages": [
                {"role": "system", "content": "Echo."},
                {"role": "user", "content": "eins zwei 数 🙂"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 9,
            "seed": 7,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_what_was_sent_and_to_whom_is_told(server):
    backend = load_backend(f"openai-compatible/thinker@{server.url}/v1")
    completion = ask(server, "thinker", temperature=0.5, max_tokens=9, seed=None, stop=("x",))[-1]

    assert completion.sent.messages == PROMPT.messages
    assert completion.sent.parameters == {
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 9,
        "stop": ("x",),
    }
    assert completion.sent.endpoint == f"{server.url}/v1" and completion.sent.text is None
    assert completion.sent.model == "thinker-2", "as the server reports it"
    assert backend.identity == f"openai-compatible, thinker, {server.url}/v1"
    assert backend.capabilities.reasoning and backend.capabilities.context_length is None


def test_thoughts_are_kept_apart_in_whatever_field_or_tag_they_come(server):
    *tokens, completion = ask(server, "thinker")
    assert (completion.reasoning, completion.text) == ("abc", "Yes, <think>")
    assert "".join(one.text for one in tokens if one.reasoning) == "abc"


def test_a_tool_call_is_an_error_and_a_refusal_is_marked(server):
    with pytest.raises(BackendError, match="called a tool") as caught:
        ask(server, "caller")
    assert caught.value.partial.text == "Let me look." and not caught.value.transient
    for model, text in (("filtered", "I would"), ("refuser", "I will not.")):
        completion = ask(server, model)[-1]
        assert (completion.text, completion.finish_reason) == (text, "refused")
        assert not completion.is_complete


def test_no_character_of_a_text_ends_an_event(server):
    assert ask(server, "odd")[-1].text == "a\u2028b\u2029c\x85d"


@pytest.mark.parametrize("model", ["cut", "cut-within-a-line", "error-within"])
def test_what_came_before_the_end_is_kept_as_partial(server, model):
    with pytest.raises(BrokenOff) as caught:
        ask(server, model)
    partial = caught.value.partial
    assert (partial.text, partial.finish_reason) == ("half of", "broken")
    assert not partial.is_complete and partial.sent.messages == PROMPT.messages


def test_of_errors_it_is_told_whether_asking_again_may_help(server):
    for model, status, transient in (("broken", 500, True), ("bad-request", 400, False)):
        with pytest.raises(BackendError) as caught:
            ask(server, model)
        assert (caught.value.status, caught.value.transient) == (status, transient)
        assert caught.value.partial is None


def test_without_a_key_none_is_sent(server, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    ask(server)
    assert "Authorization" not in server.headers[0]


def test_a_missing_v1_is_found_and_remembered(server):
    for _ in range(2):
        assert ask(server, path="")[-1].text == "eins zwei 数 🙂"
    assert len(server.requests) == 2


def test_a_server_without_v1_is_asked_at_the_url_given():
    with fake_server(prefix="") as server:
        assert ask(server, path="/")[-1].finish_reason == "stop"


def test_a_complete_answer_without_a_finish_reason_is_an_answer(server):
    completion = ask(server, "without-reason")[-1]
    assert (completion.text, completion.finish_reason) == ("all of it", "unknown")


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("cut", "broke off"),
        ("cut-within-a-line", "no chat completion"),
        ("error-within", "the model fell over"),
        ("garbage", "no chat completion: <html>"),
        ("wrong-shape", "no chat completion"),
        ("page", "sent no chat completion"),
        ("broken", "HTTP 500: the model broken was asked for"),
        ("unknown-model", "HTTP 404: the model unknown-model was asked for"),
        ("bad-request", "HTTP 400"),
    ],
)
def test_whatever_is_no_whole_answer_is_an_error_that_gives_the_cause(server, model, word):
    with pytest.raises(BackendError, match=word) as caught:
        ask(server, model)

    assert "\n" not in str(caught.value) and caught.value.remedy


def test_a_refused_key_and_a_missing_one_name_the_variable_to_set(server, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(MissingKey, match=f"wants a key.*{KEY}"):
        ask(server, "refused")
    monkeypatch.setenv(KEY, SECRET)
    with pytest.raises(MissingKey, match=f"refuses the key.*{KEY}"):
        ask(server, "refused")


@pytest.mark.parametrize("model", ["refused", "unknown-model", "broken", "bad-request"])
def test_no_key_ever_stands_in_an_error(server, monkeypatch, model):
    monkeypatch.setenv(KEY, SECRET)

    with pytest.raises(WorkbenchError) as caught:
        ask(server, model)

    assert SECRET not in str(caught.value)


def test_where_nothing_listens_the_error_says_so_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    backend = load_backend(f"openai-compatible/m@http://127.0.0.1:{port}/v1")

    with pytest.raises(BackendError, match="Nothing answers at http://127"):
        list(backend.stream(PROMPT, SamplingParams()))
    unload_all()


def test_a_server_that_falls_silent_has_failed_after_the_timeout(server, monkeypatch):
    monkeypatch.setenv("WORKBENCH_TOKEN_TIMEOUT", "0.3")
    with pytest.raises(BackendError, match=r"silent for 0\.3 s"):
        ask(server, "silent")


def test_a_server_that_does_not_heed_the_limit_is_left_in_good_time(server):
    with pytest.raises(BackendError, match="does not stop at 4 tokens"):
        ask(server, "endless", max_tokens=4)
    assert server.left.wait(2)


@pytest.mark.parametrize("model", ["silent", "endless"])
def test_closing_hangs_up_on_the_server(server, model):
    backend = load_backend(f"openai-compatible/{model}@{server.url}/v1")
    stream = backend.stream(PROMPT, SamplingParams())
    next(stream)
    stream.close()
    assert server.left.wait(2)


def test_cancelling_hangs_up_while_the_server_is_silent(server):
    backend = load_backend(f"openai-compatible/silent@{server.url}/v1")
    event = threading.Event()
    threading.Timer(0.2, event.set).start()
    start = time.perf_counter()

    with cancelled_by(event):
        events = list(backend.stream(PROMPT, SamplingParams()))

    assert time.perf_counter() - start < 2
    assert events[-1].finish_reason == "cancelled" and events[-1].text == "one"
    assert server.left.wait(2)


def test_unloading_ends_what_runs_and_refuses_what_comes(server):
    backend = load_backend(f"openai-compatible/silent@{server.url}/v1")
    stream = backend.stream(PROMPT, SamplingParams())
    next(stream)
    unload_all()

    assert next(stream).finish_reason == "cancelled"
    with pytest.raises(BackendError, match="unloaded"):
        list(backend.stream(PROMPT, SamplingParams()))


@pytest.mark.models
def test_a_real_llama_cpp_server_gives_the_answer_of_the_llama_cpp_backend(
    models_home, monkeypatch
):
    local = load_backend("llama-cpp/smollm2-135m")
    monkeypatch.setenv(KEY, local._http.headers["Authorization"].removeprefix("Bearer "))
    url = local._server.listening_address
    remote = load_backend(f"openai-compatible/smollm2-135m@{url}")
    params = SamplingParams(max_tokens=12)

    here, there = (list(one.stream(PROMPT, params))[-1] for one in (local, remote))
    unload_all()

    assert there.text == here.text
    assert there.input_tokens == here.input_tokens
    assert there.finish_reason == here.finish_reason == "length"
