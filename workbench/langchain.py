"""LangChain's objects from ours, and ours from LangChain's. Its types stay in this room.

Importing this module imports ``langchain_core`` (a second); so import it where it is used.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from workbench.errors import BackendError, BadInput, BrokenOff, MissingExtra, MissingKey
from workbench.keys import KEYS, find_key, public
from workbench.settings import settings
from workbench.types import (
    Capabilities,
    Completion,
    Declares,
    Message,
    Prompt,
    SamplingParams,
    Token,
)

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    raise MissingExtra("LangChain", "langchain") from error

if TYPE_CHECKING:
    from workbench.types import Backend, Embedder, Hit, Retriever, TextKind, Vectors

# --- ours as LangChain's ----------------------------------------------------------------


def as_embeddings(embedder: Embedder) -> Embeddings:
    """Return an embedder as LangChain's ``Embeddings``: vectors of unit length, as lists."""
    return _Embeddings(embedder)


class _Embeddings(Embeddings):
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def model(self) -> str:
        """Identify the embedder, as ``identity`` and LangChain's caches ask for."""
        return self._embedder.fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._embedder.encode(texts, "document").tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        row: list[float] = self._embedder.encode([text], "query")[0].tolist()
        return row


def as_retriever(retriever: Retriever, k: int = 5) -> BaseRetriever:
    """Return a retriever as LangChain's: at most ``k`` Documents, best first.

    A Document's ``metadata`` are path, lines (``"120-141"``), symbol, language, license, source
    and score; its ``id`` is the chunk's.

    Raises:
        BadInput: ``k`` is below 1.
    """
    if k < 1:
        raise BadInput(f"k is {k}.", "Ask for at least 1.")
    return _Retriever(retriever=retriever, k=k)


class _Retriever(BaseRetriever):
    retriever: Any
    k: int

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [_document(hit) for hit in self.retriever.search(query, self.k)]


def _document(hit: Hit) -> Document:
    chunk = hit.chunk
    metadata = {
        "path": chunk.path,
        "lines": f"{chunk.start_line}-{chunk.end_line}",
        "symbol": chunk.symbol,
        "language": chunk.language,
        "license": chunk.license,
        "source": chunk.source,
        "score": float(hit.score),
    }
    return Document(id=chunk.id, page_content=chunk.text, metadata=metadata)


def as_chat_model(backend: Backend | str, params: SamplingParams | None = None) -> BaseChatModel:
    """Return a backend, or the one of that name, as LangChain's chat model.

    Its ``stream`` yields tokens as they come. ``stop``, ``temperature``, ``top_p``, ``max_tokens``
    and ``seed`` of a call replace those of ``params``. Thoughts are the messages'
    ``additional_kwargs["reasoning_content"]``; its ``profile`` tells what the backend can do. An
    answer that was cut off raises BrokenOff.

    Raises:
        UnknownName: no backend is called so; or another error of ``load_backend``.
    """
    if isinstance(backend, str):
        # By its name, since the backends stand on this room and not it on them.
        backend = importlib.import_module("workbench.backends").load_backend(backend)
    can = backend.capabilities if isinstance(backend, Declares) else Capabilities()
    return _ChatModel(
        backend=backend,
        params=params or SamplingParams(),
        model_name=str(getattr(backend, "name", type(backend).__name__)),
        profile=_profile(can),
        disable_streaming=not can.streaming,
    )


def _profile(can: Capabilities) -> ModelProfile:
    """Return what a backend can do in LangChain's words."""
    profile: ModelProfile = {
        "text_inputs": True,
        "text_outputs": True,
        "tool_calling": False,
        "structured_output": False,
        "reasoning_output": can.reasoning,
        "temperature": "temperature" in can.sampling,
    }
    if can.context_length is not None:
        profile["max_input_tokens"] = can.context_length
    return profile


class _ChatModel(BaseChatModel):
    backend: Any
    params: SamplingParams
    model_name: str

    @property
    def _llm_type(self) -> str:
        return "workbench"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **options: Any,
    ) -> ChatResult:
        pieces = list(self._pieces(messages, stop, options))
        completion = pieces[-1]
        assert isinstance(completion, Completion), "a backend's last piece is its completion"
        thoughts = {"reasoning_content": completion.reasoning} if completion.reasoning else {}
        message = AIMessage(
            content=completion.text, additional_kwargs=thoughts, **_facts(completion)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    # The parameters stand in the signature for those who look there what can be told.
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        *,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        given = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
        options = {name: value for name, value in given.items() if value is not None}
        with closing(self._pieces(messages, stop, options)) as pieces:
            for piece in pieces:
                chunk = ChatGenerationChunk(message=_chunk(piece))
                if run_manager and chunk.message.content:
                    run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
                yield chunk

    def _pieces(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> Generator[Token | Completion]:
        known = ("temperature", "top_p", "max_tokens", "seed")
        changes = {name: options[name] for name in known if name in options}
        params = replace(self.params, **changes, stop=tuple(stop or self.params.stop))
        prompt = Prompt(tuple(_message(one) for one in messages), "langchain")
        pieces: Any = self.backend.stream(prompt, params)
        with closing(pieces):
            for piece in pieces:
                if isinstance(piece, Completion) and piece.finish_reason in ("broken", "cancelled"):
                    raise BrokenOff(
                        f"{self.model_name} did not come to the end of its answer.",
                        "Ask again.",
                        partial=piece,
                    )
                yield piece


def _chunk(piece: Token | Completion) -> AIMessageChunk:
    if isinstance(piece, Completion):
        return AIMessageChunk(content="", **_facts(piece))
    if piece.reasoning:
        return AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece.text})
    return AIMessageChunk(content=piece.text)


def _message(message: BaseMessage) -> Message:
    if message.type == "human":
        return Message("user", message.text)
    if message.type == "ai":
        return Message("assistant", message.text)
    if message.type == "system":
        return Message("system", message.text)
    raise BadInput(
        f"A message of type {message.type} cannot be sent to a backend.",
        "Send system, human and ai messages.",
    )


def _facts(completion: Completion) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "response_metadata": {
            "model_name": completion.model,
            "finish_reason": completion.finish_reason,
            "seconds": completion.seconds,
            "ignored": list(completion.ignored),
        }
    }
    sent, got = completion.input_tokens, completion.output_tokens
    if sent is not None and got is not None:
        facts["usage_metadata"] = {
            "input_tokens": sent,
            "output_tokens": got,
            "total_tokens": sent + got,
        }
    return facts


# --- LangChain's Embeddings as ours -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hosted:
    """One provider of embeddings: the class that asks it, and where else it may lie.

    ``key`` is the class's name for the key. ``servers`` are the variables that name another
    server, of which the first that is set counts. ``fixed`` are settings of the class.
    """

    module: str
    class_name: str
    key: str
    servers: tuple[str, ...]
    fixed: Mapping[str, Any]


# Both libraries wait and ask again by themselves where a server is busy; LangChain's own loop
# around Cohere's would ask again for minutes where the key is refused, so it is kept to one turn.
# OpenAI's texts are not cut by tokens: that would fetch a table from the network first.
HOSTED = {
    "openai": Hosted(
        "langchain_openai",
        "OpenAIEmbeddings",
        "openai_api_key",
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        {"check_embedding_ctx_length": False, "chunk_size": 64, "max_retries": 4},
    ),
    "cohere": Hosted(
        "langchain_cohere",
        "CohereEmbeddings",
        "cohere_api_key",
        ("CO_API_URL",),
        {"truncate": "END", "max_retries": 1},
    ),
}
# OpenAI's models read 8,191 tokens, and a token is at least a byte.
_LONGEST_BYTES = 8_191
_REFUSED = (401, 403)
_EXCERPT = 200


def hosted_server(provider: str) -> str | None:
    """Return the server that the environment names instead of the provider's own, else None."""
    names = HOSTED[provider].servers
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def hosted_embeddings(provider: str, model: str) -> Embeddings:
    """Return LangChain's embeddings of a provider; asks nothing of it yet.

    Raises:
        MissingExtra: the provider's package is not installed.
        MissingKey: its key is not set.
    """
    hosted = HOSTED[provider]
    key = find_key(provider)
    if key is None:
        raise MissingKey(
            f"No key for {provider}.",
            f"Set {KEYS[provider]}, or choose an embedder that runs here: workbench models list",
        )
    try:
        module = importlib.import_module(hosted.module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"Embedder {provider}", "hosted") from error
    options = dict(hosted.fixed, model=model, request_timeout=settings().token_timeout)
    options[hosted.key] = key
    server = hosted_server(provider)
    if server:
        options["base_url"] = server
    embeddings: Embeddings = getattr(module, hosted.class_name)(**options)
    return embeddings


def from_embeddings(embeddings: Embeddings) -> Callable[[Sequence[str], TextKind], Vectors]:
    """Return the function that encodes with LangChain's embeddings, whose rows have any length.

    The function raises:
        MissingKey: the server refuses the key.
        BackendError: it failed otherwise, or gave other than one vector of one length a text.
    """
    name = type(embeddings).__name__

    def encode(texts: Sequence[str], kind: TextKind) -> Vectors:
        kept = [_cut(text) for text in texts]
        try:
            if kind == "document":
                rows = embeddings.embed_documents(kept)
            else:
                rows = [embeddings.embed_query(text) for text in kept]
        except Exception as error:  # each provider's library raises its own
            raise _explained(name, error) from None  # their messages may repeat the key
        try:
            vectors = np.array(rows, dtype=np.float32)
        except (TypeError, ValueError):
            vectors = np.empty(0, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(kept) or not np.isfinite(vectors).all():
            raise BackendError(
                f"{name} did not give one vector of one length for each of {len(kept)} texts.",
                "Check the model's name.",
            )
        return vectors

    return encode


def _cut(text: str) -> str:
    """Shorten what no model reads to its end; OpenAI refuses an empty text, but not a blank."""
    if len(text) * 4 > _LONGEST_BYTES:
        text = text.encode()[:_LONGEST_BYTES].decode(errors="ignore")
    return text or " "


def _explained(name: str, error: Exception) -> BackendError | MissingKey:
    status = getattr(error, "status_code", None)
    if status in _REFUSED:
        key = next((KEYS[one] for one in HOSTED if HOSTED[one].class_name == name), "its key")
        return MissingKey(f"{name}: the server refuses the key (HTTP {status}).", f"Set {key}.")
    said = public(str(getattr(error, "body", None) or error))[:_EXCERPT]
    where = f"HTTP {status}" if status else type(error).__name__
    return BackendError(
        f"{name} failed: {where}: {said}",
        "Check the model's name and the network, then ask again: what was embedded is kept.",
    )


# --- which embeddings these are ---------------------------------------------------------

_MODEL = ("model", "model_name", "model_id", "repo_id", "deployment", "model_path", "endpoint_url")
# Settings that decide how the vectors are fetched, not what they are.
_NOT_OF_THE_VECTORS = re.compile(
    "key|token|secret|password|header|timeout|retries|chunk_size|batch|progress|cache|proxy|client"
    "|user_agent|organization"
)


def identity(embeddings: Embeddings) -> str | None:
    """Return what decides the vectors of an object, as far as it says: class, model, settings.

    None where it names no model. Of its settings, those that are plain values count; keys never.
    """
    model = model_of(embeddings)
    if not model:
        return None
    kind = type(embeddings)
    return f"{kind.__module__}.{kind.__qualname__}, {public(model)}, {plain_settings(embeddings)}"


def plain_settings(one: Any, without: Sequence[str] = ()) -> str:
    """Return the settings of an object that are plain values and decide what it gives, as JSON."""
    found = {
        name: value
        for name, value in vars(one).items()
        if name not in without and _is_plain(name, value)
    }
    return public(json.dumps(found, sort_keys=True, default=str))


def model_of(embeddings: Embeddings) -> str:
    """Return the name, or the folder, of the model that an object says it uses, else ""."""
    return next((str(getattr(embeddings, name)) for name in _MODEL if _says(embeddings, name)), "")


def _says(embeddings: Embeddings, name: str) -> bool:
    value = getattr(embeddings, name, None)
    return isinstance(value, str | os.PathLike) and bool(str(value))


def _is_plain(name: str, value: Any) -> bool:
    if name.startswith("_") or _NOT_OF_THE_VECTORS.search(name.lower()) or value is None:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(key, one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain("item", one) for one in value)
    return isinstance(value, str | int | float | bool)


def server_label(provider: str) -> str:
    """Return the server's name for a fingerprint: host and path, without password or query."""
    parts = urlsplit(hosted_server(provider) or "")
    host = parts.netloc.rpartition("@")[2]
    return f"{host}{parts.path.rstrip('/')}" if host else "its own server"


# --- its splitter -----------------------------------------------------------------------

# LangChain's own names, where ours are others.
_LANGUAGES = {"javascript": "js", "typescript": "ts"}


def split_code(
    text: str, language: str | None, chunk_size: int, overlap: int
) -> list[tuple[int, int]]:
    """Return (start, end) of the pieces that ``RecursiveCharacterTextSplitter`` cuts a text into.

    Offsets and sizes count characters; a piece is ``text[start:end]``, without white space
    around it. A language that LangChain does not know is split as prose.

    Raises:
        MissingExtra: ``langchain-text-splitters`` is not installed.
        BadInput: the overlap is not smaller than the chunks.
    """
    try:
        from langchain_text_splitters import Language, RecursiveCharacterTextSplitter
    except ModuleNotFoundError as error:
        raise MissingExtra("LangChain's splitter", "langchain") from error
    if not 0 <= overlap < chunk_size:
        raise BadInput(
            f"An overlap of {overlap} does not fit chunks of {chunk_size} characters.",
            "Choose one from 0 to the chunks' size, the size excluded.",
        )
    options: dict[str, Any] = {
        "chunk_size": chunk_size,
        "chunk_overlap": overlap,
        "add_start_index": True,
    }
    theirs = _LANGUAGES.get(language or "", language or "")
    if theirs in {one.value for one in Language}:
        splitter = RecursiveCharacterTextSplitter.from_language(Language(theirs), **options)
    else:
        splitter = RecursiveCharacterTextSplitter(**options)
    pieces = splitter.create_documents([text])
    starts = [piece.metadata["start_index"] for piece in pieces]
    return [
        (start, start + len(piece.page_content))
        for start, piece in zip(starts, pieces, strict=True)
    ]
