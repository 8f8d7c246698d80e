"""Thirty conversations through every backend: what the server received is what the panel shows.

Hosted providers are local servers that speak their real protocols (``fake_providers``), reached
through the workbench's own backends and the official client libraries. Local models are real ones:
llama.cpp and transformers within this process, and their own servers, all with the same weights.
What they read is compared with a rendering of the chat template by nothing but Jinja and the
tokenizer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conversations import CONVERSATIONS, GREEDY, PARAMS, Conversation, turns
from fake_providers import FakeProvider, Received, Reply, Said, echo, fake_provider, says

from workbench.backends import load_backend, unload
from workbench.backends.serving import serving
from workbench.errors import BackendError, BadInput, WorkbenchError
from workbench.types import (
    SAMPLING,
    Backend,
    Completion,
    CountsTokens,
    Message,
    Prompt,
    SamplingParams,
    Sent,
    Token,
)

KEY = "sk-conformance-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Provider:
    """How a provider's backend is pointed to a server of ours.

    ``refused`` names the conversations that the provider, or LangChain's class for it, does not
    take, with its reason in small letters.
    ``top_p`` is what holds where nothing is said of it, as the provider's reference has it.
    """

    model: str
    server: str
    key: str
    path: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    top_p: float = 1.0


PROVIDERS: dict[str, Provider] = {
    "openai": Provider("gpt-4o-mini", "OPENAI_BASE_URL", "OPENAI_API_KEY", "/v1"),
    "anthropic": Provider(
        "claude-opus-5",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_API_KEY",
        refused={
            "a system message alone": "at least one message is required",
            "blank turns": "text content blocks must contain non-whitespace text",
            "stop never found": "each stop sequence must contain non-whitespace",
        },
    ),
    "cohere": Provider(
        "command-a-03-2025",
        "CO_API_URL",
        "COHERE_API_KEY",
        top_p=0.75,
        refused={
            "an answer begun": "the last message is not an toolmessage or humanmessage",
            "a system message alone": "the last message is not an toolmessage or humanmessage",
        },
    ),
    "ollama": Provider(
        "echo",
        "OLLAMA_HOST",
        "OLLAMA_API_KEY",
        top_p=0.9,
    ),
    "google": Provider(
        "gemini-2.5-flash",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_API_KEY",
        top_p=0.95,
        refused={"a system message alone": "contents are required"},
    ),
    "mistral": Provider(
        "mistral-small",
        "MISTRAL_BASE_URL",
        "MISTRAL_API_KEY",
        "/v1",
        refused={
            "an answer begun": "expected last role user or tool",
            "a system message alone": "expected last role user or tool",
        },
    ),
    "openai-compatible": Provider("echo", "", "OPENAI_COMPATIBLE_API_KEY", "/v1"),
}


Hosted = tuple[str, FakeProvider, Backend]


@contextmanager
def hosting(
    provider: str, monkeypatch: pytest.MonkeyPatch, model: str | None = None
) -> Iterator[Hosted]:
    """Yield a provider's name, its server, and our backend that asks it."""
    how = PROVIDERS[provider]
    with fake_provider(provider) as server:
        url = f"{server.url}{how.path}"
        monkeypatch.setenv(how.key, KEY)
        name = f"{provider}/{model or how.model}"
        if how.server:
            monkeypatch.setenv(how.server, url)
        else:
            name += f"@{url}"
        try:
            yield provider, server, load_backend(name)
        finally:
            unload(name)


@pytest.fixture(params=PROVIDERS)
def hosted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosted]:
    with hosting(request.param, monkeypatch) as made:
        yield made


def ask(
    backend: Backend, messages: tuple[Message, ...], params: SamplingParams
) -> tuple[list[Token], Completion]:
    """Return all tokens, and the completion that comes last."""
    with closing(backend.stream(Prompt(messages, "conformance"), params)) as stream:  # type: ignore[type-var]
        *tokens, completion = stream
    assert isinstance(completion, Completion)
    return tokens, completion


# --- the servers themselves -------------------------------------------------------------

# What one official client made of the answer: text, tokens read and written, how it ended.
Heard = tuple[str, int, int, str]


def openai_chat(url: str, text: str) -> Heard:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    asked = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": text}],
        max_tokens=6,
        stop=["END"],
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = asked
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    end = chunks[-1].choices[0].finish_reason
    return text, last.usage.prompt_tokens, last.usage.completion_tokens, end


def openai_responses(url: str, text: str) -> Heard:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    asked: list[Any] = [{"role": "user", "content": text}]
    *events, last = client.responses.create(
        model="gpt-5-pro", input=asked, max_output_tokens=6, stream=True
    )
    said = "".join(one.delta for one in events if one.type == "response.output_text.delta")
    assert said == last.response.output_text
    usage, details = last.response.usage, last.response.incomplete_details
    return said, usage.input_tokens, usage.output_tokens, details.reason if details else "stop"


def anthropic_messages(url: str, text: str) -> Heard:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
    with client.messages.stream(
        model="claude-opus-5",
        messages=[{"role": "user", "content": text}],
        max_tokens=6,
        stop_sequences=["END"],
    ) as stream:
        said, message = "".join(stream.text_stream), stream.get_final_message()
    usage = message.usage
    return said, usage.input_tokens, usage.output_tokens, message.stop_reason


def cohere_chat(url: str, text: str) -> Heard:
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=url)
    *events, last = client.chat_stream(
        model="command-a-03-2025",
        messages=[cohere.UserChatMessageV2(content=text)],
        max_tokens=6,
        stop_sequences=["END"],
    )
    said = "".join(one.delta.message.content.text for one in events if one.type == "content-delta")
    usage = last.delta.usage.tokens
    return said, usage.input_tokens, usage.output_tokens, last.delta.finish_reason


def ollama_chat(url: str, text: str) -> Heard:
    import ollama

    asked = ollama.Client(host=url).chat(
        model="echo",
        messages=[{"role": "user", "content": text}],
        stream=True,
        options={"num_predict": 6, "stop": ["END"]},
    )
    *lines, last = asked
    said = "".join(line.message.content for line in lines)
    return said, last.prompt_eval_count, last.eval_count, last.done_reason


def google_generate(url: str, text: str) -> Heard:
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    *chunks, last = client.models.generate_content_stream(
        model="gemini-2.5-flash",
        contents=text,
        config={"max_output_tokens": 6, "stop_sequences": ["END"]},
    )
    said = "".join(chunk.text for chunk in chunks)
    usage = last.usage_metadata
    end = last.candidates[0].finish_reason.value
    return said, usage.prompt_token_count, usage.candidates_token_count, end


@pytest.mark.parametrize(
    ("provider", "client", "stop", "length"),
    [
        ("openai", openai_chat, "stop", "length"),
        ("openai", openai_responses, None, "max_output_tokens"),
        ("anthropic", anthropic_messages, "stop_sequence", "max_tokens"),
        ("cohere", cohere_chat, "STOP_SEQUENCE", "MAX_TOKENS"),
        ("ollama", ollama_chat, "stop", "length"),
        ("google", google_generate, "STOP", "MAX_TOKENS"),
    ],
)
def test_the_official_client_understands_the_fake_server(provider, client, stop, length):
    with fake_provider(provider) as server:
        assert client(server.url, "é 👩🏽 one two three four five") == (
            "é 👩🏽 one two three four",
            7,
            6,
            length,
        )
        if stop:
            assert client(server.url, "say one END two") == ("say one ", 4, 3, stop)
        assert {turn for one in server.received for turn in one.messages} == {
            ("user", "é 👩🏽 one two three four five"),
            *([("user", "say one END two")] if stop else []),
        }
        assert all(one.parameters["max_tokens"] == 6 for one in server.received)
        assert provider == "ollama" or all(KEY in repr(one.headers) for one in server.received)


# --- hosted providers -------------------------------------------------------------------


def test_what_the_server_received_is_what_the_panel_shows(hosted):
    assert len({one.name for one in CONVERSATIONS}) == 30
    assert differences(hosted) == []


@pytest.mark.parametrize(
    ("provider", "model", "without"),
    [
        ("openai", "gpt-5", {"stop": ()}),  # and takes no other temperature than 1
        ("openai", "gpt-5-pro", {"stop": ()}),  # is asked through the Responses API
        ("anthropic", "claude-sonnet-5-5", {}),  # takes no temperature
        ("anthropic", "claude-haiku-4-5", {"top_p": 1.0}),  # takes it or a temperature, not both
    ],
)
def test_so_it_is_for_models_that_take_fewer_parameters(monkeypatch, provider, model, without):
    with hosting(provider, monkeypatch, model) as hosted:
        assert differences(hosted, without) == []


def differences(hosted: Hosted, without: Mapping[str, Any] | None = None) -> list[str]:
    """Return what is wrong with the conversations, asked ``without`` some parameters."""
    _, server, _ = hosted
    found: list[str] = []
    for conversation in CONVERSATIONS:
        server.script = script(conversation)
        for sample in range(conversation.samples):
            where = f"{conversation.name} #{sample}"
            params = replace(conversation.params.nth(sample), **(without or {}))
            found += [f"{where}: {one}" for one in outcome(hosted, conversation, params)]
    return found


def script(conversation: Conversation) -> Callable[[Received], Reply]:
    if conversation.tool:
        return says("", tool=conversation.tool)
    return echo if conversation.answer is None else says(conversation.answer)


def outcome(hosted: Hosted, conversation: Conversation, params: SamplingParams) -> Iterator[str]:
    """Yield what is wrong with one conversation."""
    provider, server, backend = hosted
    server.received.clear()
    server.said.clear()
    refused = PROVIDERS[provider].refused.get(conversation.name)
    try:
        tokens, completion = ask(backend, conversation.messages, params)
    except WorkbenchError as error:
        if "\n" in str(error) or not error.remedy:
            yield f"an error of more than one line or without remedy: {error}"
        expected = "called a tool" if conversation.tool else refused
        if expected is None or expected not in str(error).lower():
            yield f"{type(error).__name__}, where '{expected}' was expected: {error}"
        return
    if refused is not None:
        yield f"is taken, though {provider} refuses it: {refused}"
        return
    if len(server.received) != 1:
        yield f"{len(server.received)} requests instead of one"
        return
    if conversation.tool:
        if completion.is_complete:
            yield f"a tool call passes for an answer: {completion.finish_reason}"
        return
    neutral = (("top_p", PROVIDERS[provider].top_p), ("stop", []))
    yield from of_the_panel(server.received[0], completion, params, neutral)
    yield from of_the_answer(server.said[0], tokens, completion)


def of_the_panel(
    received: Received,
    completion: Completion,
    params: SamplingParams,
    neutral: tuple[tuple[str, Any], ...],
) -> Iterator[str]:
    """Yield where what was received is not what ``sent`` says."""
    sent = completion.sent
    if sent is None:
        yield "nothing is said of what was sent"
        return
    shown = tuple((one.role, one.content) for one in sent.messages)
    if shown != received.messages:
        yield f"the panel shows {shown!r:.300}, and {received.messages!r:.300} was received"
    on_the_wire = received.parameters
    in_force = {name: plain(value) for name, value in sent.parameters.items()}
    in_force = {
        name: value
        for name, value in in_force.items()
        if name in on_the_wire or (name, value) not in neutral
    }
    if in_force != on_the_wire:
        yield f"the panel shows {in_force}, and {on_the_wire} was received"
    for name in SAMPLING:
        asked = plain(getattr(params, name))
        if (name, asked) not in neutral and asked is not None:
            yield from of_the_parameter(name, asked, received, completion)
    if "127.0.0.1" not in (sent.endpoint or ""):
        yield f"the endpoint is {sent.endpoint}"
    if KEY in repr(completion):
        yield "the key stands in the completion"


def of_the_parameter(
    name: str, asked: Any, received: Received, completion: Completion
) -> Iterator[str]:
    """Yield where a parameter was dropped in silence, or kept and called ignored."""
    there, ignored = received.parameters.get(name), name in completion.ignored
    if ignored and there is not None and there == asked:
        yield f"{name} is called ignored and was sent: {there}"
    noted = any(name in note for note in completion.sent.notes)  # type: ignore[union-attr]
    if not (ignored or noted or there == asked):
        yield f"{name}={asked} was asked, {there} was sent, and nothing is said of it"


def of_the_answer(said: Said, tokens: list[Token], completion: Completion) -> Iterator[str]:
    """Yield where the answer is not what the server said."""
    text = "".join(said.words)
    if completion.text != text:
        yield f"the server said {text!r:.200}, the answer is {completion.text!r:.200}"
    if "".join(one.text for one in tokens if not one.reasoning) != completion.text:
        yield "the tokens do not make the text"
    if any(not one.text for one in tokens):
        yield "there is an empty token"
    if completion.finish_reason != said.end:
        yield f"it ended by {said.end}, and is said to by {completion.finish_reason}"
    if (completion.input_tokens, completion.output_tokens) != (said.read, said.written):
        counted = (completion.input_tokens, completion.output_tokens)
        yield f"{counted} tokens are counted, and the server used {(said.read, said.written)}"


def plain(value: Any) -> Any:
    """Return a parameter as JSON carries it."""
    return list(value) if isinstance(value, tuple) else value


THINKING = ("cohere", "anthropic", "google", "mistral", "openai-compatible")


def test_what_a_model_thinks_is_no_part_of_its_answer(hosted):
    provider, server, backend = hosted
    server.script = says("The answer. ", reasoning="Let me think, ü.\n")
    tokens, completion = ask(backend, turns("u: Why?"), PARAMS)

    assert completion.text == "The answer. "
    assert "".join(one.text for one in tokens if not one.reasoning) == "The answer. "
    if provider in THINKING:
        assert completion.reasoning == "Let me think, ü.\n"
    assert "".join(one.text for one in tokens if one.reasoning) == completion.reasoning


def test_what_a_provider_blocks_is_refused_and_no_answer(hosted):
    provider, server, backend = hosted
    server.script = says("I would", refused=True)
    if provider == "cohere":  # which says that it failed
        with pytest.raises(BackendError):
            ask(backend, turns("u: Why?"), PARAMS)
    elif provider != "ollama":  # which has no word for it
        _, completion = ask(backend, turns("u: Why?"), PARAMS)
        assert completion.finish_reason == "refused" and not completion.is_complete


def test_ollama_is_asked_for_as_much_context_as_other_local_models_get(monkeypatch):
    """Its servers cut longer prompts in silence, by default at 4,096 tokens (docs/faq)."""
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", "16384")
    with hosting("ollama", monkeypatch) as (_, server, backend):
        ask(backend, turns("u: Hello."), PARAMS)

    assert server.received[0].body["options"]["num_ctx"] == 16384


def test_through_a_chat_model_of_langchain_messages_arrive_as_they_were(monkeypatch):
    from workbench.langchain import as_chat_model

    with hosting("openai", monkeypatch) as (_, server, backend):
        for conversation in CONVERSATIONS:
            server.script = says("Yes.")
            model = as_chat_model(backend, conversation.params)
            asked = [(one.role, one.content) for one in conversation.messages]
            assert model.invoke(asked).text == "Yes.", conversation.name
            assert list(server.received[-1].messages) == asked, conversation.name

    assert len(server.received) == len(CONVERSATIONS)


def test_a_chat_model_of_ours_refuses_tools_before_anything_is_sent(monkeypatch):
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    from workbench.langchain import as_chat_model

    call = {"name": "add", "args": {"a": 1}, "id": "1"}
    asked = [HumanMessage("1 + 1?"), AIMessage("", tool_calls=[call])]
    with hosting("openai", monkeypatch) as (_, server, backend):
        model = as_chat_model(backend)
        with pytest.raises(BadInput, match="tool"):
            model.invoke([*asked, ToolMessage("2", tool_call_id="1")])
        with pytest.raises(NotImplementedError):
            model.bind_tools([{"name": "add"}])

    assert server.received == []


# --- local models -----------------------------------------------------------------------

LOCAL = "smollm2-135m"
CONTEXT = 1024
# An answer is nothing that is looked at here.
FEW = {"max_tokens": 1}


@dataclass(frozen=True, slots=True)
class Template:
    """The model's chat template and tokenizer, without the workbench and without its models."""

    jinja: Any
    tokenizer: Any

    @classmethod
    def of(cls, folder: Path) -> Template:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from tokenizers import Tokenizer

        # As transformers' documentation says that templates are to be read.
        jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        text = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        return cls(jinja.from_string(text), Tokenizer.from_file(str(folder / "tokenizer.json")))

    def text(self, messages: tuple[Message, ...]) -> str:
        turns = [{"role": one.role, "content": one.content} for one in messages]
        return self.jinja.render(messages=turns, add_generation_prompt=True)

    def count(self, messages: tuple[Message, ...]) -> int:
        return len(self.tokenizer.encode(self.text(messages), add_special_tokens=False).ids)


def in_process(provider: str) -> Callable[[Path], AbstractContextManager[Backend]]:
    @contextmanager
    def load(folder: Path) -> Iterator[Backend]:
        try:
            yield load_backend(f"{provider}/{LOCAL}")
        finally:
            unload(f"{provider}/{LOCAL}")

    return load


@contextmanager
def llama_server(folder: Path) -> Iterator[Backend]:
    with serving(LOCAL, slots=1) as url:
        name = f"openai-compatible/{LOCAL}@{url}"
        try:
            yield load_backend(name)
        finally:
            unload(name)


@contextmanager
def transformers_server(folder: Path) -> Iterator[Backend]:
    """Run what ``transformers serve`` runs, from the unpacked folder and without a network."""
    from transformers.cli.serve import Serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"device": "cpu", "dtype": "float32", "host": "127.0.0.1", "non_blocking": True}
    server = Serve(str(folder), port=port, **options)
    name = f"openai-compatible/{folder}@http://127.0.0.1:{port}/v1"
    try:
        end = time.monotonic() + 60
        while not server.server.started:
            assert time.monotonic() < end, "transformers serve does not start"
            time.sleep(0.05)
        yield load_backend(name)
    finally:
        unload(name)
        server.kill_server()


RUNNERS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {
    "llama.cpp": in_process("llama-cpp"),
    "transformers": in_process("transformers"),
    "llama.cpp's server": llama_server,
    "transformers serve": transformers_server,
}


@pytest.fixture
def unpacked(models_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the model as a folder, which the transformers backend makes where there is none."""
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    monkeypatch.setenv("WORKBENCH_CONTEXT_LENGTH", str(CONTEXT))
    folder = models_home / "models" / LOCAL / "transformers"
    if not (folder / "tokenizer.json").is_file():
        load_backend(f"transformers/{LOCAL}")
        unload(f"transformers/{LOCAL}")
    return folder


@pytest.mark.models
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_local_model_reads_what_its_own_template_makes_of_the_messages(unpacked, runner):
    template = Template.of(unpacked)
    found: list[str] = []
    with RUNNERS[runner](unpacked) as backend:
        for conversation in CONVERSATIONS:
            if conversation.name == "long" and runner == "transformers serve":
                continue  # it knows no limit, and would read for minutes
            wrong = misread(backend, template, conversation)
            found += [f"{conversation.name}: {one}" for one in wrong]

    assert found == []


def misread(backend: Backend, template: Template, conversation: Conversation) -> Iterator[str]:
    """Yield where a local model read something else, or says something else of it."""
    messages, params = conversation.messages, replace(conversation.params, **FEW)
    count = template.count(messages)
    try:
        tokens, completion = ask(backend, messages, params)
    except WorkbenchError as error:
        if count <= CONTEXT or str(count) not in str(error).replace(",", ""):
            yield f"{type(error).__name__}: {error}"
        return
    if completion.input_tokens != count:
        yield f"it read {completion.input_tokens} tokens, and the text has {count}"
    if isinstance(backend, CountsTokens) and backend.count_tokens(messages) != count:
        yield f"it counts {backend.count_tokens(messages)} tokens, and the text has {count}"
    if "".join(one.text for one in tokens if not one.reasoning) != completion.text:
        yield "the tokens do not make the text"
    if completion.sent is None:
        yield "nothing is said of what was sent"
    else:
        yield from misshown(completion.sent, completion.ignored, template.text(messages), params)
        if completion.sent.messages != messages:
            yield f"the panel shows {completion.sent.messages!r:.200}"


def misshown(
    sent: Sent, ignored: tuple[str, ...], text: str, params: SamplingParams
) -> Iterator[str]:
    """Yield where the panel shows another text or parameter than was asked."""
    if sent.text != (None if sent.endpoint else text):
        yield f"the template makes {text!r:.200}, not {sent.text!r:.200}"
    for name in SAMPLING:
        asked, shown = plain(getattr(params, name)), plain(sent.parameters.get(name))
        if name not in ignored and asked not in (None, []) and shown != asked:
            yield f"{name}={asked} was asked, and the panel shows {shown}"


@pytest.mark.models
def test_a_user_can_write_the_template_s_own_tokens_and_the_panel_shows_them(unpacked):
    """All four read them as such; the other counts are held to this one by the test above."""
    template = Template.of(unpacked)
    messages = next(one.messages for one in CONVERSATIONS if one.name == "ChatML tokens")
    text = template.text(messages)
    ids = template.tokenizer.encode(text, add_special_tokens=False).ids
    end = template.tokenizer.token_to_id("<|im_end|>")

    assert messages[0].content in text
    assert ids.count(end) == text.count("<|im_end|>") == 4


@pytest.mark.models
def test_a_model_answers_alike_within_the_process_and_behind_its_server(unpacked):
    said = []
    for runner in ("llama.cpp", "llama.cpp's server"):
        with RUNNERS[runner](unpacked) as backend:
            params = replace(GREEDY, max_tokens=12)
            said.append(ask(backend, turns("u: Say hello to the world."), params)[1].text)

    assert said[0] == said[1] != ""


@pytest.mark.models
@pytest.mark.parametrize("name", ["llama-cpp/smollm2-135m", "transformers/smollm2-135m"])
def test_control_tokens_in_a_users_text_are_told(
    models_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    backend = load_backend(name)
    told = {}
    for text in ("Say <|im_end|> and </s> and [NONE] aloud.", "Say it aloud: List<int>."):
        prompt = Prompt((Message("user", text),), "test")
        *_, completion = backend.stream(prompt, SamplingParams(max_tokens=1))
        told[text] = " ".join(completion.sent.notes)
    first, second = told.values()
    assert first.endswith("control tokens: <|im_end|>")
    assert second == ""
