"""Hosted models, and any chat model of LangChain's: asked alike, read alike, and never asked twice.

What goes over the wire is held by ``test_conformance``; here are the options of each provider, its
errors, and objects that are handed in.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from typing import Any

import pytest
from fake_providers import WIRES, Fault, Received, Reply, cut, fake_provider, says
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from workbench.backends import langchain as room
from workbench.backends import load_backend, unload_all
from workbench.backends.cache import cached
from workbench.backends.langchain import from_chat_model, is_chat_model
from workbench.cancel import cancelled_by
from workbench.errors import (
    BackendError,
    BadInput,
    BrokenOff,
    DeadlineExceeded,
    MissingKey,
    WorkbenchError,
)
from workbench.langchain import as_chat_model
from workbench.types import Backend, Completion, Identified, Message, Prompt, SamplingParams, Token

SECRET = "sk-never-to-be-seen-0123456789"
PROMPT = Prompt((Message("system", "Be kind."), Message("user", "one two three")), "test")
PARAMS = SamplingParams(max_tokens=20)
PROVIDERS = {
    "openai": ("gpt-4o-mini", "OPENAI_BASE_URL", "OPENAI_API_KEY", "/v1"),
    "anthropic": ("claude-opus-4-1", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", ""),
    "cohere": ("command-a-03-2025", "CO_API_URL", "COHERE_API_KEY", ""),
    "google": ("gemini-2.5-flash", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_API_KEY", ""),
    "mistral": ("mistral-small", "MISTRAL_BASE_URL", "MISTRAL_API_KEY", "/v1"),
    "ollama": ("qwen3", "OLLAMA_HOST", "OLLAMA_API_KEY", ""),
}
every_provider = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture(autouse=True)
def nothing_stays_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for _, server, key, _ in PROVIDERS.values():
        monkeypatch.delenv(server, raising=False)
        monkeypatch.setenv(key, SECRET)
    yield
    unload_all()


def at(url: str, provider: str, monkeypatch: pytest.MonkeyPatch, model: str = "") -> Backend:
    """Return a provider's backend, which asks the server at a url."""
    usual, server, _, path = PROVIDERS[provider]
    monkeypatch.setenv(server, url + path)
    return load_backend(f"{provider}/{model or usual}")


def ask(backend: Backend, params: SamplingParams = PARAMS, prompt: Prompt = PROMPT) -> Completion:
    completion = list(backend.stream(prompt, params))[-1]
    assert isinstance(completion, Completion)
    return completion


def failure(backend: Backend, params: SamplingParams = PARAMS) -> WorkbenchError:
    """Return the error that a call ends in, which is one line and holds no key."""
    with pytest.raises(WorkbenchError) as caught:
        ask(backend, params)
    assert "\n" not in str(caught.value) and caught.value.remedy
    assert SECRET not in f"{caught.value!r} {caught.value}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


# --- names, keys and parameters ---------------------------------------------------------


@pytest.mark.parametrize("provider", [one for one in PROVIDERS if one != "ollama"])
def test_without_a_key_the_variable_is_named_before_anything_is_asked(provider, monkeypatch):
    model, _, key, _ = PROVIDERS[provider]
    monkeypatch.delenv(key)
    with pytest.raises(MissingKey, match=f"Set {key}"):
        load_backend(f"{provider}/{model}")


@pytest.mark.parametrize(
    ("provider", "model", "params", "sent", "ignored"),
    [
        ("openai", "", {}, {"temperature": 0.0, "max_tokens": 20, "seed": 0}, ()),
        (
            "openai",
            "",
            {"top_p": 0.5, "seed": None, "stop": ("a", "b")},
            {"temperature": 0.0, "max_tokens": 20, "top_p": 0.5, "stop": ["a", "b"]},
            (),
        ),
        ("openai", "o3", {"seed": 7}, {"max_tokens": 20, "seed": 7}, ("temperature",)),
        ("openai", "o3", {"temperature": 1.0}, {"max_tokens": 20, "seed": 0}, ()),
        ("openai", "gpt-5-pro", {}, {"max_tokens": 20}, ("temperature", "seed")),
        ("anthropic", "", {}, {"temperature": 0.0, "max_tokens": 20}, ("seed",)),
        ("anthropic", "", {"seed": None}, {"temperature": 0.0, "max_tokens": 20}, ()),
        ("anthropic", "claude-fable-5", {}, {"max_tokens": 20}, ("temperature", "seed")),
        (
            "cohere",
            "",
            {"seed": 3},
            {"temperature": 0.0, "max_tokens": 20, "top_p": 0.99, "seed": 3},
            (),
        ),
        (
            "google",
            "",
            {"stop": ("a",)},
            {"temperature": 0.0, "max_tokens": 20, "top_p": 1.0, "seed": 0, "stop": ["a"]},
            (),
        ),
        (
            "google",
            "gemini-3.6-flash",
            {},
            {"max_tokens": 20, "seed": 0},
            ("temperature", "top_p"),
        ),
        ("mistral", "", {}, {"temperature": 0.0, "max_tokens": 20, "top_p": 1.0, "seed": 0}, ()),
        ("ollama", "", {}, {"temperature": 0.0, "max_tokens": 20, "top_p": 1.0, "seed": 0}, ()),
    ],
)
def test_parameters_go_by_the_providers_names_or_are_reported_as_ignored(
    provider, model, params, sent, ignored, monkeypatch
):
    with fake_provider(provider) as server:
        backend = at(server.url, provider, monkeypatch, model)
        completion = ask(backend, SamplingParams(**{"max_tokens": 20, **params}))

    assert server.received[0].parameters == sent
    assert completion.ignored == ignored
    assert not set(ignored) & set(backend.capabilities.sampling)
    assert not set(ignored) & set(completion.sent.parameters)


@every_provider
def test_a_backend_says_what_it_is_and_whom_it_asks(provider, monkeypatch):
    with fake_provider(provider) as server:
        secret_url = server.url.replace("//", f"//me:{SECRET}@")
        backend = at(secret_url, provider, monkeypatch)
    model, _, _, path = PROVIDERS[provider]

    if provider != "ollama":  # which tells more of itself, where its server runs
        assert backend.identity == f"{provider}, {model}, {server.url}{path}"
    assert backend.capabilities.streaming and not backend.capabilities.local
    assert isinstance(backend, Identified)
    if provider in ("openai", "google"):  # of which LangChain knows these models
        assert backend.capabilities.context_length >= 100_000


def test_a_model_of_ollama_is_another_once_it_is_pulled_anew_or_reads_more(monkeypatch):
    found = []
    with fake_provider("ollama") as server:
        for digest, context in (("a" * 64, 2048), ("b" * 64, 2048), ("b" * 64, 4096)):
            server.digest = digest
            monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", str(context))
            backend = at(server.url, "ollama", monkeypatch)
            found.append(backend.identity)
            assert backend.identity == f"ollama, qwen3@{digest}, {server.url}, context={context}"
            assert cached(backend) is not backend
            unload_all()
        assert len(set(found)) == 3
        unknown = at(server.url, "ollama", monkeypatch, "never-pulled")
        assert unknown.identity is None and cached(unknown) is unknown


def test_ollama_is_told_to_sample_as_the_others_do(monkeypatch):
    """Else from 40 tokens, and greedy decoding, too, with a penalty for what was said before."""
    with fake_provider("ollama") as server:
        ask(at(server.url, "ollama", monkeypatch))
    options = server.received[0].body["options"]
    assert (options["top_k"], options["repeat_penalty"]) == (0, 1.0)


def test_what_was_sent_is_told_as_it_left(monkeypatch):
    turns = (Message("user", "{x} Hello"), Message("assistant", "Hi."), Message("system", "Rude."))
    prompt = Prompt((*turns, Message("user", "Bye.")), "test")
    for provider, moved in (("anthropic", True), ("google", True), ("openai", False)):
        with fake_provider(provider) as server:
            sent = ask(at(server.url, provider, monkeypatch), prompt=prompt).sent
        assert server.received[0].messages == tuple(
            (one.role, one.content) for one in sent.messages
        )
        assert (sent.messages[0].role == "system") is moved is bool(sent.notes)
        assert sent.endpoint.startswith(server.url)


def test_the_role_that_openai_gives_a_system_message_is_told(monkeypatch):
    with fake_provider("openai") as server:
        completion = ask(at(server.url, "openai", monkeypatch, "o3"))
    assert server.received[0].messages[0][0] == "developer"
    assert "developer" in completion.sent.notes[0]


@every_provider
def test_the_model_is_named_as_the_server_reports_it(provider, monkeypatch):
    with fake_provider(provider) as server:
        sent = ask(at(server.url, provider, monkeypatch)).sent
    assert sent.model == {"google": "g-1"}.get(provider, PROVIDERS[provider][0])


def test_a_prompt_without_messages_is_refused_before_anything_is_asked(monkeypatch):
    with fake_provider("openai") as server:
        backend = at(server.url, "openai", monkeypatch)
        with pytest.raises(BadInput, match="no message"):
            ask(backend, prompt=Prompt((), "test"))
        assert server.received == []


def test_thoughts_of_ollama_are_handed_on_without_asking_for_them(monkeypatch):
    line = {"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "done": False}
    said = [
        {**line, "message": {"role": "assistant", "content": "", "thinking": "Hm."}},
        {**line, "message": {"role": "assistant", "content": "Yes."}},
        {**line, "message": {"role": "assistant", "content": ""}, "done": True},
    ]
    with raw_server("".join(json.dumps(one) + "\n" for one in said).encode()) as server:
        completion = ask(at(server.url, "ollama", monkeypatch))
    assert (completion.reasoning, completion.text) == ("Hm.", "Yes.")
    assert completion.finish_reason == "unknown"  # it is done, and does not say why
    assert "think" not in json.loads(server.bodies[0])


@every_provider
def test_thoughts_that_come_in_tags_are_no_part_of_the_answer(provider, monkeypatch):
    said = "<think>\nHm, two\n</think>\n\nYes <think>"
    with fake_provider(provider, says(said)) as server:
        backend = at(server.url, provider, monkeypatch)
        *tokens, completion = backend.stream(PROMPT, PARAMS)
        server.script = says("  <thin air")
        plain = ask(backend)

    assert (completion.reasoning, completion.text) == ("Hm, two\n", "Yes <think>")
    assert "".join(one.text for one in tokens if one.reasoning) == completion.reasoning
    assert (plain.reasoning, plain.text) == ("", "  <thin air")


# --- failures ---------------------------------------------------------------------------


@every_provider
def test_what_may_pass_is_transient_and_what_cannot_is_not_and_both_are_asked_once(
    provider, monkeypatch
):
    with fake_provider(provider) as server:
        backend = at(server.url, provider, monkeypatch)
        for status in (408, 409, 429, 500, 503, 529, 400, 404, 413, 422):
            said = f"no such thing: {SECRET} " * 50
            server.script = lambda _, status=status, said=said: Fault(status, said)
            server.received.clear()
            error = failure(backend)
            assert len(server.received) == 1
            assert isinstance(error, BackendError) and error.status == status
            assert error.transient is (status in (408, 409, 429) or status >= 500)
            assert error.retry_after is None
            assert len(error.cause) < 300 and f"HTTP {status}: no such thing" in error.cause


@every_provider
def test_a_refused_key_names_its_variable_and_repeats_nothing(provider, monkeypatch):
    with fake_provider(provider) as server:
        backend = at(server.url, provider, monkeypatch)
        for status in (401, 403):
            server.script = lambda one, status=status: Fault(status, f"bad {one.headers}")
            error = failure(backend)
            assert isinstance(error, MissingKey) and PROVIDERS[provider][2] in error.remedy
            assert "bad" not in str(error)
        assert len(server.received) == 2


@every_provider
def test_the_servers_wish_to_wait_is_read_in_every_form(provider, monkeypatch):
    with fake_provider(provider) as server:
        backend = at(server.url, provider, monkeypatch)
        for name, value, seconds in (
            ("Retry-After", "7", 7),
            ("Retry-After", formatdate(time.time() + 99, usegmt=True), 99),
            ("Retry-After", formatdate(time.time() - 99, usegmt=True), 0),
            ("Retry-After", time.asctime(time.gmtime(time.time() + 99)), 99),
            ("Retry-After", "soon", None),
            ("retry-after-ms", "90", 0.09),
        ):
            server.script = lambda _, said={name: value}: Fault(429, "slow down", said)
            assert failure(backend).retry_after == pytest.approx(seconds, abs=3 * (seconds == 99))


def google_error(code: int, **rest: Any) -> Fault:
    return Fault(code, body=json.dumps({"error": {"code": code, "message": "no", **rest}}).encode())


def test_google_says_in_its_body_what_others_say_in_headers(monkeypatch):
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    with fake_provider("google", lambda _: google_error(429, details=[retry])) as server:
        assert failure(at(server.url, "google", monkeypatch)).retry_after == 34.5
        bad = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        server.script = lambda _: google_error(400, status="INVALID_ARGUMENT", details=[bad])
        error = failure(load_backend("google/gemini-2.5-flash"))
    assert isinstance(error, MissingKey) and "GOOGLE_API_KEY" in error.remedy


def test_an_empty_account_is_not_asked_again(monkeypatch):
    body = json.dumps({"error": {"message": "quota", "code": "insufficient_quota"}}).encode()
    with fake_provider("openai", lambda _: Fault(429, body=body)) as server:
        error = failure(at(server.url, "openai", monkeypatch))
    assert not error.transient and "balance" in error.remedy


@pytest.mark.parametrize(
    ("name", "params", "remedy"),
    [
        ("openai/gpt-5-of-tomorrow", {}, "temperature 1"),  # of which LangChain knows nothing
        ("openai/gpt-5-of-tomorrow", {"temperature": 1.0, "top_p": 0.5}, "top_p 1"),
        ("openai/gpt-5", {"stop": ("a",)}, "without stop strings"),
        ("anthropic/claude-haiku-4-5", {"top_p": 0.5}, "top_p 1, so that it is left out"),
    ],
)
def test_a_parameter_that_a_model_refuses_is_named_with_the_remedy(
    name, params, remedy, monkeypatch
):
    provider, model = name.split("/")
    with fake_provider(provider) as server:
        error = failure(at(server.url, provider, monkeypatch, model), SamplingParams(**params))
    assert remedy in error.remedy and not error.transient


def test_a_prompt_that_is_too_long_is_told_from_a_wrong_one(monkeypatch):
    said = "This model's maximum context length is 8 tokens. Your messages have 9 tokens."
    with fake_provider("openai", lambda _: Fault(400, said)) as server:
        assert "Shorten the prompt" in failure(at(server.url, "openai", monkeypatch)).remedy


@every_provider
def test_where_nothing_listens_the_error_says_so_at_once(provider, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    start = time.perf_counter()
    error = failure(at(f"http://127.0.0.1:{port}", provider, monkeypatch))
    assert isinstance(error, BackendError) and error.transient and "Nothing answers" in error.cause
    assert time.perf_counter() - start < 5


@every_provider
def test_a_tool_call_is_no_answer(provider, monkeypatch):
    with fake_provider(provider, says("", tool="search")) as server:
        error = failure(at(server.url, provider, monkeypatch))
    assert "called a tool" in str(error) and not error.transient


def test_an_error_within_a_stream_is_none_of_the_answer(monkeypatch):
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    body = f"event: error\ndata: {json.dumps(busy)}\n\n".encode()
    with raw_server(body, "text/event-stream") as server:
        error = failure(at(server.url, "anthropic", monkeypatch))
    assert error.transient and "Overloaded" in error.cause

    begun = head_of("anthropic", BEGUN["anthropic"])
    with raw_server(begun + body, "text/event-stream") as server:
        unload_all()
        error = failure(at(server.url, "anthropic", monkeypatch))
    assert isinstance(error, BrokenOff) and error.partial.text == "one" and not error.transient


# --- streams that end early, fall silent, or are left -----------------------------------


class RawServer:
    """Answers each request with the same bytes and closes, or holds the connection if told to."""

    def __init__(self, body: bytes, media: str, hold: bool) -> None:
        self.body = body
        self._head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nConnection: close\r\n\r\n"
        self._hold = hold
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.bodies: list[str] = []
        self.left = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._reply, args=(connection,), daemon=True).start()

    def _reply(self, connection: socket.socket) -> None:
        with connection:
            read = connection.makefile("rb")
            length = 0
            while (line := read.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            self.bodies.append(read.read(length).decode())
            connection.sendall(self.body and self._head.encode() + self.body)
            if self._hold:
                with suppress(OSError):
                    read.read()
                self.left.set()


@contextmanager
def raw_server(
    body: bytes, media: str = "application/x-ndjson", hold: bool = False
) -> Iterator[RawServer]:
    server = RawServer(body, media, hold)
    try:
        yield server
    finally:
        server.close()


def head_of(provider: str, events: int, text: str = "one two three") -> bytes:
    """Return the first events of an answer, as the provider's server would write them."""
    wire = WIRES[provider][0]
    said = cut(Reply(text), Received("", {}, {}, (), {}))
    body = {"model": PROVIDERS[provider][0], "messages": []}
    return b"".join(event for event, _ in zip(wire.events(said, body), range(events), strict=False))


# Events until the first word of the answer is out.
BEGUN = {"openai": 3, "anthropic": 4, "cohere": 3, "google": 1, "mistral": 2, "ollama": 1}


def media_of(provider: str) -> str:
    return WIRES[provider][0].media


@every_provider
def test_a_stream_that_ends_early_is_broken_off_with_what_had_come(provider, monkeypatch):
    with raw_server(head_of(provider, BEGUN[provider]), media_of(provider)) as server:
        error = failure(at(server.url, provider, monkeypatch))
    assert isinstance(error, BrokenOff) and not error.transient
    assert error.partial.text == "one" and error.partial.finish_reason == "broken"
    assert not error.partial.is_complete and error.partial.sent is not None


@every_provider
def test_a_stream_cut_at_any_byte_is_never_a_shorter_answer(provider, monkeypatch):
    text = "one two 数 🙂 three"
    answer = head_of(provider, 99, text)
    broken = 0
    with raw_server(b"", media_of(provider)) as server:
        backend = at(server.url, provider, monkeypatch)
        for cut_at in sorted({round(number * len(answer) / 19) for number in range(20)}):
            server.body = answer[:cut_at]
            try:
                completion = ask(backend)
            except BackendError as error:
                if error.partial is not None:
                    assert isinstance(error, BrokenOff) and text.startswith(error.partial.text)
                    assert error.partial.finish_reason == "broken"
                    broken += 1
            else:  # only what comes after the answer is missing, if anything
                assert completion.text == text and completion.is_complete and cut_at > 0
    assert broken >= 5


@every_provider
def test_a_server_that_hangs_up_without_a_word_may_be_asked_again(provider, monkeypatch):
    with raw_server(b"") as server:
        error = failure(at(server.url, provider, monkeypatch))
        assert len(server.bodies) == 1
    assert isinstance(error, BackendError) and error.transient and error.partial is None


@every_provider
def test_an_empty_stream_is_an_error(provider, monkeypatch):
    with raw_server(b"\n", media_of(provider)) as server:
        error = failure(at(server.url, provider, monkeypatch))
    assert isinstance(error, BackendError) and error.partial is None


@every_provider
def test_closing_hangs_up_on_a_silent_server_within_two_seconds(provider, monkeypatch):
    with raw_server(head_of(provider, BEGUN[provider]), media_of(provider), hold=True) as server:
        stream = at(server.url, provider, monkeypatch).stream(PROMPT, PARAMS)
        assert next(stream) == Token("one")
        start = time.perf_counter()
        stream.close()
        assert server.left.wait(2) and time.perf_counter() - start < 2


def test_cancelling_hangs_up_before_the_first_token(monkeypatch):
    with raw_server(b"\n", "text/event-stream", hold=True) as server:
        backend = at(server.url, "openai", monkeypatch)
        event = threading.Event()
        threading.Timer(0.2, event.set).start()
        with cancelled_by(event):
            completion = ask(backend)
        assert completion.finish_reason == "cancelled" and server.left.wait(2)


@every_provider
def test_a_server_that_falls_silent_has_failed_after_the_timeout(provider, monkeypatch):
    monkeypatch.setenv("WORKBENCH_TOKEN_TIMEOUT", "0.5")
    with raw_server(head_of(provider, BEGUN[provider]), media_of(provider), hold=True) as server:
        backend = at(server.url, provider, monkeypatch)
        start = time.perf_counter()
        error = failure(backend)
        assert 0.4 < time.perf_counter() - start < 3
        assert server.left.wait(2)
    assert isinstance(error, DeadlineExceeded) and error.partial.text == "one"


def test_unloading_ends_what_runs_and_refuses_what_comes(monkeypatch):
    with raw_server(head_of("openai", 3), media_of("openai"), hold=True) as server:
        backend = at(server.url, "openai", monkeypatch)
        stream = backend.stream(PROMPT, PARAMS)
        next(stream)
        unload_all()
        assert next(stream).finish_reason == "cancelled"
        assert server.left.wait(2)
        with pytest.raises(BackendError, match="unloaded"):
            ask(backend)


def test_an_event_that_coheres_client_would_skip_breaks_the_answer_off(monkeypatch):
    begun = head_of("cohere", 3)
    rest = head_of("cohere", 99).removeprefix(begun)
    for between in (b'data: {"type": "content-de\n\n', b"data: <html>\n\n"):
        with raw_server(begun + between + rest, "text/event-stream") as server:
            error = failure(at(server.url, "cohere", monkeypatch))
        assert isinstance(error, BrokenOff) and error.partial.text == "one"
        unload_all()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_no_character_ends_an_event_wherever_the_network_cuts(size, monkeypatch):
    import httpx

    from workbench.backends.event_lines import lines, mend

    text = "a\u2028b\u2029c\x85d数\u2027\u00c2\u00e2"
    raw = f"data: {json.dumps({'text': text}, ensure_ascii=False)}\r\n\ndata: [DONE]".encode()
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]

    async def stream() -> Any:
        for chunk in chunks:
            yield chunk

    async def read() -> tuple[list[str], list[str]]:
        kind = {"Content-Type": "text/event-stream"}
        transport = httpx.MockTransport(
            lambda _: httpx.Response(200, headers=kind, content=stream())
        )
        async with httpx.AsyncClient(transport=transport) as client:
            mend(client)
            mend(client)
            async with client.stream("POST", "http://127.0.0.1/") as response:
                mended = [line async for line in response.aiter_lines()]
        return [line async for line in lines(stream())], mended

    ours, mended = asyncio.run(read())
    assert len(ours) == len(mended) == 3
    for found in (ours, mended):
        assert json.loads(found[0].removeprefix("data:")) == {"text": text}


# --- objects that are handed in ---------------------------------------------------------


class Plain(BaseChatModel):
    """A model that streams in a thread alone, and takes one parameter at a call, one as a field."""

    model_name: str = "plain-1"
    max_new_tokens: int = 5
    api_key: str = SECRET
    words: tuple[str, ...] = ("one", " two", " three")
    pause: float = 0.0
    seen: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        raise NotImplementedError

    def _stream(
        self,
        messages: Any,
        stop: Any = None,
        run_manager: Any = None,
        temperature: float = 0.7,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.seen.append((temperature, self.max_new_tokens, stop, threading.current_thread()))
        for word in self.words[: self.max_new_tokens]:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
            time.sleep(self.pause)


class Whole(BaseChatModel):
    """A model that does not stream."""

    answer: AIMessage

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


def test_an_unknown_object_is_told_what_it_takes_and_the_rest_is_reported():
    backend = from_chat_model(Plain())
    completion = ask(backend, SamplingParams(temperature=0.2, max_tokens=2, seed=3, top_p=0.5))

    assert completion.text == "one two" and completion.finish_reason == "unknown"
    assert backend._model.seen[0][:2] == (0.2, 2)
    assert completion.ignored == ("top_p", "seed")
    assert backend.capabilities.sampling == ("temperature", "max_tokens", "stop")
    assert backend._model.max_new_tokens == 5, "the user's own object is left as it was"
    assert backend.name == "Plain/plain-1" and SECRET not in backend.identity
    assert from_chat_model(Plain(), "mine").name == "mine"


@pytest.mark.parametrize("model", [Plain(), FakeListChatModel(responses=["one two three"])])
def test_stop_strings_hold_for_objects_that_do_not_heed_them(model):
    completion = ask(from_chat_model(model), SamplingParams(stop=("o th",)))
    assert (completion.text, completion.finish_reason) == ("one tw", "stop")


def test_an_object_whose_key_is_refused_is_to_be_made_with_another():
    from langchain_openai import ChatOpenAI

    key = "sk-of-nobody-else-98765"
    with fake_provider("openai", lambda one: Fault(500, f"bad {one.headers}")) as server:
        theirs = ChatOpenAI(model="m", api_key=key, base_url=f"{server.url}/v1", max_retries=0)
        backend = from_chat_model(theirs)
        assert key not in str(failure(backend)), (
            "it stands in no variable, and is hidden all the same"
        )
        server.script = lambda one: Fault(401)
        assert "make the ChatOpenAI with another" in failure(backend).remedy


def test_a_model_that_blocks_a_thread_is_left_at_once():
    model = Plain(words=("one",) * 100, pause=3)
    stream = from_chat_model(model).stream(PROMPT, SamplingParams(max_tokens=100))
    assert next(stream) == Token("one")
    start = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start < 2
    assert model.seen[0][-1].daemon, "it must not keep the process alive"


def test_a_model_that_does_not_stream_gives_its_answer_in_one_piece():
    answer = AIMessage(
        [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}],
        response_metadata={"finish_reason": "length", "model_name": "w-2"},
        usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    )
    backend = from_chat_model(Whole(answer=answer))
    completion = ask(backend)

    assert (completion.text, completion.reasoning) == ("Yes.", "Hm.")
    assert (completion.input_tokens, completion.output_tokens) == (3, 4)
    assert completion.finish_reason == "length" and completion.sent.model == "w-2"
    assert not backend.capabilities.streaming
    assert not isinstance(backend, Identified), "it does not say which model it is"


@pytest.mark.parametrize(
    ("content", "extra", "text", "thought"),
    [
        ("a", {"reasoning_content": "b"}, "a", "b"),
        (["a", {"type": "text", "text": "c"}], {}, "ac", ""),
        ([{"type": "reasoning", "summary": [{"text": "b"}, {"text": "d"}]}], {}, "", "bd"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}], {}, "", "b"),
        ([{"type": "reasoning_content", "reasoning_content": {"text": "b"}}], {}, "", "b"),
        ([{"type": "reasoning", "reasoning": "b"}, {"type": "image"}], {}, "", "b"),
    ],
)
def test_thoughts_are_told_from_the_answer_in_every_form(content, extra, text, thought):
    answer = AIMessage(content, additional_kwargs=extra)
    completion = ask(from_chat_model(Whole(answer=answer)))
    assert (completion.text, completion.reasoning) == (text, thought)


def test_a_refusal_is_marked_as_one():
    refusal = AIMessage([{"type": "refusal", "refusal": "I will not."}])
    completion = ask(from_chat_model(Whole(answer=refusal)))
    assert (completion.text, completion.finish_reason) == ("I will not.", "refused")


def test_an_object_of_a_known_class_is_asked_as_the_provider_is(monkeypatch):
    from langchain_cohere import ChatCohere
    from langchain_ollama import ChatOllama

    with fake_provider("cohere") as server:
        theirs = ChatCohere(
            model="command-r", temperature=0.9, base_url=server.url, cohere_api_key=SECRET
        )
        backend = from_chat_model(theirs)
        assert ask(backend).text == "one two three"
        assert server.received[0].parameters["temperature"] == 0.0
        assert backend.name == "cohere/command-r" and theirs.temperature == 0.9
        assert backend.endpoint == server.url and SECRET not in backend.identity
    with fake_provider("ollama") as server:
        backend = from_chat_model(ChatOllama(model="m", num_ctx=99, base_url=server.url))
        ask(backend, SamplingParams(max_tokens=3, stop=("x",)))
        assert server.received[0].body["options"]["num_ctx"] == 99
        assert server.received[0].parameters["max_tokens"] == 3


def test_what_a_call_leaves_unsaid_is_not_said_by_the_object_either():
    from langchain_anthropic import ChatAnthropic
    from langchain_ollama import ChatOllama
    from langchain_openai import ChatOpenAI

    options: dict[str, Any] = {"temperature": 0.9, "top_p": 0.5, "api_key": SECRET}
    made = {
        "openai": lambda url: ChatOpenAI(
            model="m", base_url=f"{url}/v1", seed=5, stop=["two"], **options
        ),
        "anthropic": lambda url: ChatAnthropic(
            model="m", base_url=url, stop_sequences=["two"], **options
        ),
        "ollama": lambda url: ChatOllama(model="m", base_url=url, seed=5, stop=["two"]),
    }
    for provider, make in made.items():
        with fake_provider(provider) as server:
            completion = ask(from_chat_model(make(server.url)), SamplingParams(seed=None))
        sent = {"temperature": 0.0, "max_tokens": 512, "top_p": 1.0}
        assert completion.text == "one two three"
        assert {"top_p": 1.0, **server.received[0].parameters} == sent
        assert completion.sent.parameters == {**sent, "stop": ()} and not completion.ignored


def test_the_settings_of_an_object_are_part_of_what_it_is(monkeypatch):
    from langchain_openai import ChatOpenAI

    def made(**options: Any) -> str:
        return from_chat_model(ChatOpenAI(model="m", api_key=SECRET, **options)).identity

    url = f"http://me:{SECRET}@127.0.0.1:1/v1?key={SECRET}"
    assert made() == made() != made(reasoning_effort="low")
    assert SECRET not in made(base_url=url) and "127.0.0.1:1/v1" in made(base_url=url)


def test_only_chat_models_are_taken_and_no_import_is_needed_to_tell():
    assert is_chat_model(Plain()) and is_chat_model(FakeListChatModel(responses=["x"]))
    assert not is_chat_model(object()) and not is_chat_model(Plain)
    with pytest.raises(BadInput, match="no chat model"):
        from_chat_model("openai/gpt-4o")
    code = "import sys, workbench.backends.langchain as r; r.is_chat_model(1); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"langchain", "langchain_core", "httpx", "openai"} & set(done.stdout.split())


def test_a_backend_of_ours_survives_the_way_to_langchain_and_back(monkeypatch):
    with fake_provider("mistral", says("Yes.", reasoning="Hm.")) as server:
        there = as_chat_model(at(server.url, "mistral", monkeypatch))
        back = from_chat_model(there)
        completion = ask(back, SamplingParams(temperature=0.3, top_p=0.5, max_tokens=9, seed=4))
    assert (completion.text, completion.reasoning, completion.ignored) == ("Yes.", "Hm.", ())
    assert server.received[0].parameters["seed"] == 4
    assert completion.finish_reason == "stop"


def test_the_five_lines_for_an_endpoint_of_ones_own_work_as_they_are_written():
    code = room.__doc__.partition("::\n\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in code.splitlines()]
    assert len([line for line in lines if not line.startswith(("from", "import"))]) <= 5
    with fake_provider("openai") as server:
        scope: dict[str, Any] = {"URL": f"{server.url}/v1", "KEY": SECRET}
        exec("\n".join(lines), scope)
    assert scope["completion"].text == "Hello" and scope["completion"].model == "mine"
    assert server.received[0].headers["authorization"] == f"Bearer {SECRET}"


def test_many_calls_leave_nothing_behind(monkeypatch):
    with fake_provider("openai") as server:
        backend = at(server.url, "openai", monkeypatch)
        ask(backend)
        before = threading.active_count()
        for _ in range(8):
            stream = backend.stream(PROMPT, PARAMS)
            next(stream)
            stream.close()
        ask(backend)
        gc.collect()
        assert len(backend._requests._open) == 0
        # Each connection has a thread of the server's, and none more of ours.
        assert threading.active_count() <= before + len(server.received)
    assert [one.name for one in threading.enumerate()].count("requests") == 1
