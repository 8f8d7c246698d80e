"""Chat models of LangChain as backends: those of the hosted providers, and any that is handed in.

A fine-tuned model behind an endpoint of your own takes five lines::

    from langchain_openai import ChatOpenAI
    from workbench.backends.langchain import from_chat_model
    from workbench.types import Message, Prompt, SamplingParams
    mine = from_chat_model(ChatOpenAI(model="mine", base_url=URL, api_key=KEY), name="mine")
    *tokens, completion = mine.stream(Prompt((Message("user", "Hello"),), ""), SamplingParams())

LangChain itself is imported where a provider's model is made, and only then.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from workbench.backends.dialects import BY_PROVIDER, Call, Dialect, dialect_of, manner_of
from workbench.backends.event_lines import mend
from workbench.backends.event_loop import Requests
from workbench.backends.http_errors import Server, excerpt, explained
from workbench.backends.reasoning import ThinkSplitter
from workbench.backends.remote import Piece, label, parameters_of, tell
from workbench.backends.streaming import Channel, StopStrings, Transcript
from workbench.errors import BackendError, BadInput, MissingExtra
from workbench.keys import KEYS, remember, require_key
from workbench.settings import settings
from workbench.types import Capabilities, Completion, Prompt, SamplingParams, Sent, Token

log = logging.getLogger(__name__)

_TELL_SECONDS = 2.0

# --- a provider's model by name, or an object -------------------------------------------


def hosted(model: str, name: str) -> ChatModel:
    """Return the backend of a provider's model; nothing is asked of it yet.

    Raises:
        MissingKey: the provider's key is not set.
        MissingExtra: its package is not installed.
        BadInput: LangChain cannot make such a model.
    """
    dialect = BY_PROVIDER[name.strip().partition("/")[0]]
    url = next((os.environ[one] for one in dialect.urls if os.environ.get(one)), dialect.home)
    options = dialect.made_with(settings().token_timeout)
    if dialect.provider in KEYS:
        options[dialect.key] = require_key(dialect.provider)
    try:
        from langchain.chat_models import init_chat_model

        made = init_chat_model(model, model_provider=dialect.maker, base_url=url, **options)
    except ImportError as error:
        raise MissingExtra(f"Backend {dialect.provider}", "hosted") from error
    except Exception as error:  # each class refuses what it cannot take in its own way
        raise BadInput(
            f"{name} cannot be asked: {excerpt(f'{type(error).__name__}: {error}')}",
            "Check the model's name, the key and the url.",
        ) from None
    if dialect.provider == "ollama":
        return Ollama(made, name, url, _server(name, dialect))
    backend = ChatModel(made, name, url, _server(name, dialect))
    backend.identity = f"{dialect.provider}, {model}, {backend.endpoint}"
    return backend


def from_chat_model(model: Any, name: str | None = None) -> ChatModel:
    """Return an object of LangChain's ``BaseChatModel`` as a backend.

    The sampling parameters of a call replace the object's own. Its retries are its own, too: make
    it with ``max_retries=0``, where failures are to be counted. ``name`` None is one made of its
    provider or class and its model, as ``openai/gpt-4.1``.

    Raises:
        BadInput: it is no chat model of LangChain's.
    """
    if not is_chat_model(model):
        raise BadInput(
            f"A {type(model).__name__} is no chat model of LangChain's.",
            "Hand in an object of a class that derives from BaseChatModel.",
        )
    for secret in _secrets_of(model):
        remember(secret)
    dialect, said, kind = dialect_of(model), _model_of(model), type(model).__name__
    who = dialect.provider if dialect else kind
    name = name or (f"{who}/{said}" if said else who)
    server = Server(name, f"the right key, or make the {kind} with another one")
    backend = ChatModel(model, name, _url_of(model), server)
    if said:
        backend.identity = _identity(model, said, backend.endpoint)
    return backend


def is_chat_model(one: object) -> bool:
    """Say whether an object is a chat model of LangChain's; imports nothing."""
    return any(
        kind.__name__ == "BaseChatModel" and kind.__module__.startswith("langchain_core.")
        for kind in type(one).__mro__
    )


# --- the backend ------------------------------------------------------------------------


class ChatModel:
    """A chat model of LangChain's. Calls from several threads run at once, on one client.

    ``endpoint`` is the server's url, None where it is not known. ``identity`` is there only where
    the object says which model it is.
    """

    identity: str

    def __init__(self, model: Any, name: str, url: str | None, server: Server) -> None:
        self.name = name
        self._dialect = dialect = dialect_of(model)
        self._model = _open_to_calls(model, dialect)
        self._manner = manner_of(self._model, dialect)
        self.endpoint = _endpoint(self._model, url or (dialect.home if dialect else None))
        self._server = server
        self._silence = settings().token_timeout
        self._requests = Requests(name)

    @property
    def capabilities(self) -> Capabilities:
        """What the class can do, and the model where LangChain knows it."""
        profile = getattr(self._model, "profile", None) or {}
        dialect = self._dialect
        return Capabilities(
            streaming=_defines(self._model, "_astream") or _defines(self._model, "_stream"),
            sampling=self._manner.honoured,
            logprobs=dialect is not None and dialect.logprobs,
            context_length=profile.get("max_input_tokens"),
            reasoning=dialect is None or dialect.reasoning,
        )

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it ends the request.

        Raises:
            MissingKey: the server wants a key, or refuses the one it was given.
            BrokenOff: the stream ended before the answer did.
            BackendError: the server refused or failed, or called a tool.
        """
        if not prompt.messages:
            raise BadInput("The prompt holds no message.", "Ask something.")
        call = self._manner.call(prompt.messages, params)
        sent = Sent(
            call.messages,
            parameters_of(call.params, call.ignored),
            model=_model_of(self._model),
            endpoint=self.endpoint,
            notes=call.notes,
        )
        transcript = Transcript(self.name, sent)
        channel = self._start(call)
        yield from tell(self.name, channel, transcript, call.ignored)

    def close(self) -> None:
        """End all requests. The connections are LangChain's, which shares them among models."""
        self._requests.close()

    def _start(self, call: Call) -> Channel[Piece]:
        model = self._model.model_copy(update=call.fields) if call.fields else self._model
        asked = [(one.role, one.content) for one in call.messages]
        # A class that is not in the table may leave stop strings to who asks, as many do.
        reading = _Reading(self._dialect, () if self._dialect else call.params.stop)

        async def receive(channel: Channel[Piece]) -> None:
            chunks = model.astream(asked, **call.arguments)
            now = asyncio.get_running_loop().time
            async with asyncio.timeout(self._silence) as silence, aclosing(chunks):
                async for chunk in chunks:
                    silence.reschedule(now() + self._silence)
                    channel.send(reading.piece(chunk))
                    if reading.ended:
                        return
            channel.send(reading.rest())

        def pull(channel: Channel[Piece]) -> None:
            try:
                for chunk in model.stream(asked, **call.arguments):
                    if not channel.send(reading.piece(chunk)) or reading.ended:
                        return
            except Exception as error:
                raise self._explained(error) from None
            channel.send(reading.rest())

        if _is_asynchronous(model):
            return self._requests.start(receive, self._explained)
        return self._requests.start_thread(pull)

    def _explained(self, error: Exception) -> BaseException:
        if isinstance(error, ValueError) and "No generation" in str(error):
            return BackendError(f"{self.name} sent no chat completion.", "Check the url.")
        return explained(error, self._server, self._silence)


class Ollama(ChatModel):
    """A model of an Ollama server: a name that stands for other weights once it is pulled anew."""

    _digest = ""

    @property
    def identity(self) -> str | None:  # type: ignore[override]
        """Name the model with the digest of its files, which is asked for once.

        None where the server does not tell it: then nothing can be kept of its answers.
        """
        model = self._model.model
        try:
            self._digest = self._digest or self._ask_for_digest((model, f"{model}:latest"))
        except Exception as error:  # httpx's, JSON's, or that of a server which is none of Ollama's
            log.info("%s: no digest: %s", self.name, excerpt(f"{type(error).__name__}: {error}"))
            return None
        return f"ollama, {model}@{self._digest}, {self.endpoint}, context={self._model.num_ctx}"

    def _ask_for_digest(self, names: Sequence[str]) -> str:
        reply = self._model._client._client.get("/api/tags", timeout=_TELL_SECONDS)
        listed = reply.raise_for_status().json()["models"]
        return next(str(one["digest"]) for one in listed if one["name"] in names)


class _Reading:
    """Reads LangChain's chunks of one answer; ``ended`` once a stop string of ours was found."""

    def __init__(self, dialect: Dialect | None, stop: Sequence[str]) -> None:
        self._dialect = dialect
        self._thoughts = ThinkSplitter()  # Ollama's servers, for one, may leave the tags in
        self._stops = StopStrings(stop)
        self._anything = False
        self._input = self._output = 0
        self.ended = False

    def piece(self, chunk: Any) -> Piece:
        """Read one chunk."""
        self._anything = True
        counts = self._counts(chunk)
        text, thought, refusal = _words(chunk)
        text, tagged = self._parted(self._thoughts.feed(text))
        self.ended = self._stops.found
        finish, last = _end(chunk)
        closed = counts is not None and self._dialect is not None and self._dialect.counts_end
        return Piece(
            text + refusal,
            thought + tagged,
            "stop" if self.ended else finish,
            last or closed,
            counts,
            str(chunk.response_metadata.get("model_name") or ""),
            _calls_a_tool(chunk),
            bool(refusal) or finish == _BLOCKED,
        )

    def rest(self) -> Piece:
        """Return what is left once no chunk is to come.

        Of the classes in the table it is known how an answer ends; of another, any end is one.
        """
        text, tagged = self._parted(self._thoughts.rest())
        finish = "stop" if self._stops.found else ""
        last = self._anything and self._dialect is None
        return Piece(text + self._stops.rest(), tagged, finish, last)

    def _parted(self, parts: Sequence[tuple[str, bool]]) -> tuple[str, str]:
        """Return the answer's text, up to a stop string, and the thoughts."""
        answer = "".join(text for text, is_thought in parts if not is_thought)
        thought = "".join(text for text, is_thought in parts if is_thought)
        return ("" if self._stops.found else self._stops.feed(answer)), thought

    def _counts(self, chunk: Any) -> tuple[int | None, int | None] | None:
        """Return the counts until now: what each chunk says is to be added up."""
        usage = chunk.usage_metadata
        if not usage:
            return None
        self._input += usage.get("input_tokens") or 0
        self._output += usage.get("output_tokens") or 0
        return self._input or None, self._output


_BLOCKED = "prompt_blocked"


def _words(chunk: Any) -> tuple[str, str, str]:
    """Return a chunk's text, thought and refusal."""
    thought = chunk.additional_kwargs.get("reasoning_content") or ""
    if isinstance(chunk.content, str):
        return chunk.content, thought, ""
    text = refusal = ""
    for block in chunk.content:
        if isinstance(block, str):
            text += block
        elif block.get("type") == "text":
            text += block.get("text") or ""
        elif block.get("type") == "refusal":
            refusal += block.get("refusal") or ""
        elif block.get("type") in _THOUGHTS:
            thought += _thought(block)
    return text, thought, refusal


_THOUGHTS = ("thinking", "reasoning", "reasoning_content")


def _thought(block: Mapping[str, Any]) -> str:
    """Return what a block of reasoning says: as text, or in parts (``summary``, ``thinking``)."""
    found = next((block[name] for name in (*_THOUGHTS, "summary", "text") if block.get(name)), "")
    if isinstance(found, Mapping):
        return str(found.get("text") or "")
    if isinstance(found, str):
        return found
    return "".join(str(part.get("text") or "") for part in found if isinstance(part, Mapping))


_ENDS = ("finish_reason", "stop_reason", "done_reason", "status")
_SAYS_OF_THE_END = {*_ENDS, "done"}  # Ollama's "done" is there only where it is true


def _end(chunk: Any) -> tuple[str, bool]:
    """Return the word for why an answer ended, "" for none, and whether it has."""
    word, ended = "", False
    for facts in (chunk.response_metadata, chunk.additional_kwargs):
        if not _SAYS_OF_THE_END.isdisjoint(facts):
            ended = True
            details = facts.get("incomplete_details") or {}
            found = (details.get("reason"), *(facts.get(name) for name in _ENDS))
            word = word or next((str(one) for one in found if one), "")
        if (facts.get("prompt_feedback") or {}).get("block_reason"):
            return _BLOCKED, True  # Google's way to refuse to read a prompt
    return word, ended


def _calls_a_tool(chunk: Any) -> bool:
    return bool(
        getattr(chunk, "tool_call_chunks", None)
        or getattr(chunk, "tool_calls", None)
        or chunk.additional_kwargs.get("tool_calls")
        or chunk.additional_kwargs.get("function_call")
    )


# --- what an object says of itself ------------------------------------------------------

_MODEL = ("model_name", "model", "model_id", "repo_id", "deployment_name", "azure_deployment")
_URL = ("openai_api_base", "azure_endpoint", "anthropic_api_url", "endpoint", "base_url")


def _model_of(model: Any) -> str:
    return _first_text(model, _MODEL)


def _url_of(model: Any) -> str | None:
    return _first_text(model, _URL) or None


def _first_text(model: Any, names: Sequence[str]) -> str:
    found = (getattr(model, name, None) for name in names)
    return next((one for one in found if isinstance(one, str) and one), "")


def _endpoint(model: Any, url: str | None) -> str | None:
    """Return the server's url without password; Ollama's client fills in what OLLAMA_HOST lacks."""
    client = getattr(getattr(model, "_async_client", None), "_client", None)
    if dialect_of(model) is BY_PROVIDER["ollama"] and client is not None:
        url = str(client.base_url)
    return label(url) if url else None


def _server(name: str, dialect: Dialect) -> Server:
    key = KEYS.get(dialect.provider, f"{dialect.provider.upper()}_API_KEY")
    held = dialect.provider in KEYS or key in os.environ
    start = "Start it: ollama serve" if dialect.provider == "ollama" else "Check the network"
    return Server(name, key, held, f"{start}, or set {dialect.urls[0]}.")


def _secrets_of(model: Any) -> Iterator[str]:
    """Yield the keys that an object holds."""
    for name, value in vars(model).items():
        if callable(reveal := getattr(value, "get_secret_value", None)):
            yield reveal()
        elif isinstance(value, str) and name.endswith(("key", "token", "secret", "password")):
            yield value


def _open_to_calls(model: Any, dialect: Dialect | None) -> Any:
    """Return an object that says of itself nothing of what a call says, or leaves unsaid."""
    if dialect is None:
        return model
    if dialect.provider == "cohere":
        mend(model.async_client._client_wrapper.httpx_client.httpx_client)
    if dialect.provider == "ollama":
        mend(model._async_client._client)
    fields = (name for name in _OWN if name in type(model).model_fields)
    own = {name: None for name in fields if getattr(model, name) is not None}
    return model.model_copy(update=own) if own else model


_OWN = ("temperature", "top_p", "seed", "random_seed", "stop", "stop_sequences")


def _identity(model: Any, said: str, endpoint: str | None) -> str:
    from workbench.langchain import plain_settings

    kind = type(model)
    settings_ = plain_settings(model, without=(*_URL, "metadata", "tags", "verbose"))
    return f"{kind.__module__}.{kind.__qualname__}, {said}, {endpoint}, {settings_}"


def _is_asynchronous(model: Any) -> bool:
    """Say whether a call can be a task; else it must block a thread."""
    if _defines(model, "_astream"):
        return True
    return _defines(model, "_agenerate") and not _defines(model, "_stream")


def _defines(model: Any, method: str) -> bool:
    """Say whether a class has its own method, instead of LangChain's way around a missing one."""
    owner = next(kind for kind in type(model).__mro__ if method in vars(kind))
    return owner.__name__ not in ("BaseChatModel", "SimpleChatModel")
