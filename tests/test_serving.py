"""Serving a model to others: what is refused, and that our own client streams from it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

from workbench.backends import load_backend, unload_all
from workbench.backends.serving import require_free, require_safe, serve, serving
from workbench.errors import BackendError, BadInput, MissingKey, UnknownName
from workbench.types import Completion, Message, Prompt, SamplingParams, Token

KEY = "OPENAI_COMPATIBLE_API_KEY"
SECRET = "a-key-that-nobody-else-has"
PROMPT = Prompt((Message("user", "Count from one to ten in words."),), "test")


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "1024")
    monkeypatch.delenv(KEY, raising=False)
    yield
    unload_all()


@pytest.mark.models
def test_a_served_model_streams_to_our_own_client(models_home):
    with serving("smollm2-135m") as url:
        backend = load_backend(f"openai-compatible/smollm2-135m@{url}")
        *tokens, completion = backend.stream(PROMPT, SamplingParams(max_tokens=8))
        names = [model["id"] for model in httpx2.get(f"{url}/models").json()["data"]]

    assert names == ["smollm2-135m"]
    assert isinstance(completion, Completion) and completion.finish_reason == "length"
    assert len(tokens) > 1 and all(isinstance(token, Token) for token in tokens)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/models")


@pytest.mark.models
def test_a_served_model_answers_as_the_local_backend_does_whatever_was_asked_before(models_home):
    greedy = SamplingParams(max_tokens=12)
    sampled = SamplingParams(temperature=1.2, top_p=0.95, seed=5, max_tokens=24)
    with serving("smollm2-135m", slots=1) as url:
        remote = load_backend(f"openai-compatible/smollm2-135m@{url}")
        there = [list(remote.stream(PROMPT, params))[-1] for params in (greedy, sampled, greedy)]
    local = load_backend("llama-cpp/smollm2-135m")
    here = [list(local.stream(PROMPT, params))[-1] for params in (greedy, sampled)]

    assert [one.text for one in there] == [here[0].text, here[1].text, here[0].text]
    assert {one.input_tokens for one in there} == {here[0].input_tokens}


@pytest.mark.models
def test_with_a_key_nobody_is_let_in_without_it(models_home, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    with serving("smollm2-135m") as url:
        backend = load_backend(f"openai-compatible/smollm2-135m@{url}")
        assert list(backend.stream(PROMPT, SamplingParams(max_tokens=2)))[-1].text

        monkeypatch.setenv(KEY, "another-key-that-is-wrong")
        with pytest.raises(MissingKey, match="refuses the key"):
            list(backend.stream(PROMPT, SamplingParams(max_tokens=2)))
        slots = httpx2.get(url.replace("/v1", "/slots"), headers={"Authorization": SECRET})
        assert slots.status_code != httpx2.codes.OK


@pytest.mark.models
def test_ctrl_c_ends_the_command_quietly(models_home):
    code = "import typer; from workbench.cli.serve import serve; typer.run(serve)"
    command = [sys.executable, "-c", code, "smollm2-135m", "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        said = json.loads("".join(iter(child.stdout.readline, "}\n")) + "}")
        assert httpx2.get(f"{said['url']}/models").status_code == httpx2.codes.OK
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=10)

    assert child.returncode == 0
    assert out == err == ""
    assert said["backend"] == f"openai-compatible/smollm2-135m@{said['url']}"


STOPPED = """
import threading
from workbench.backends.serving import serve

stop, told = threading.Event(), []
def hear(one):
    told.append(one)
    stop.set()
serve("llama-cpp/smollm2-135m", port=0, stop=stop, announce=hear)
print(told[0].model, told[0])
"""


@pytest.mark.models
def test_a_stop_ends_serving(models_home):
    # In a process of its own, which can be ended should it hang.
    done = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=100, check=True
    )

    assert done.stdout.startswith("smollm2-135m ")
    assert "--backend openai-compatible/smollm2-135m@http://127.0.0.1:" in done.stdout


def test_a_port_in_use_is_refused_with_the_next_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=rf"^Port {port} of 127\.0\.0\.1 is in use\.") as caught:
            require_free("127.0.0.1", port)

    assert f"--port {port + 1}" in caught.value.remedy
    require_free("127.0.0.1", port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_address_that_others_reach_wants_a_key(host):
    with pytest.raises(BadInput, match=KEY):
        require_safe(host, None)
    require_safe(host, SECRET)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_the_loopback_address_wants_none(host):
    require_safe(host, None)


def test_an_address_of_another_machine_is_refused_in_one_line():
    with pytest.raises(BadInput, match="cannot be served") as caught:
        require_free("192.0.2.7", 8080)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_in_the_child_is_the_same_error_here(models_home, tmp_path):
    with pytest.raises(BadInput, match="called 'no-such-model'"):
        serving("no-such-model").__enter__()

    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"no model at all")
    with pytest.raises(BackendError, match="no GGUF file"):
        serving(str(damaged)).__enter__()


def test_a_wrong_name_gets_the_nearest_right_one():
    with pytest.raises(UnknownName, match="smollm2-135m"):
        serve("smolm2-135m")
