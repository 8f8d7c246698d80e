"""Any server that speaks OpenAI's chat protocol: llama-server, vLLM, LM Studio, Ollama, ...

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming. What such servers add
to it is read too: errors within a stream, and thoughts, be they in ``reasoning_content``, in
``reasoning``, or between ``<think>`` and ``</think>`` before the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from workbench.backends.event_lines import lines
from workbench.backends.event_loop import Requests
from workbench.backends.http_errors import Reply, Server, excerpt, explained, refusal
from workbench.backends.reasoning import ThinkSplitter
from workbench.backends.remote import Piece, label, parameters_of, tell
from workbench.backends.streaming import Channel, Transcript
from workbench.errors import BackendError, WorkbenchError
from workbench.keys import KEYS, find_key
from workbench.settings import settings
from workbench.types import Capabilities, Completion, Message, Prompt, SamplingParams, Sent, Token

_SERVICE = "openai-compatible"
KEY = KEYS[_SERVICE]
_CONNECT_SECONDS = 5.0
# Longer than any token of a code model (Qwen's longest is a run of 128 spaces): a server that sends
# more than this for each token asked for does not heed the limit, and would fill the memory.
_LONGEST_TOKEN = 128


class OpenAICompatible:
    """One model of one server. Requests from several threads run at once.

    All sampling parameters are sent; what a server does with them, it does not tell.
    """

    capabilities = Capabilities(logprobs=True, reasoning=True)

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        at = max(resolved.rfind("@http://"), resolved.rfind("@https://"))
        self._model, self._url = resolved[:at], resolved[at + 1 :]
        self._paths = [f"{self._url}/chat/completions"]
        if not self._url.endswith("/v1"):
            self._paths.append(f"{self._url}/v1/chat/completions")
        self.identity = f"{_SERVICE}, {self._model}, {self._url}"
        self._silence = settings().token_timeout
        timeout = httpx2.Timeout(self._silence, connect=_CONNECT_SECONDS)
        self._client = httpx2.AsyncClient(timeout=timeout)
        self._requests = Requests(name)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it ends the request.

        Raises:
            MissingKey: the server wants a key, or refuses the one it was given.
            BrokenOff: the stream ended before the answer did.
            BackendError: the server refused or failed, or called a tool.
        """
        key = find_key(_SERVICE)
        request = _request(self._model, prompt.messages, params)

        async def relay(channel: Channel[Piece]) -> None:
            await self._receive(request, key, channel)

        sent = Sent(
            prompt.messages, parameters_of(params), model=self._model, endpoint=label(self._url)
        )
        transcript = Transcript(self.name, sent)
        channel = self._requests.start(
            relay, lambda error: explained(error, self._server(key), self._silence)
        )
        yield from tell(self._url, channel, transcript)

    def close(self) -> None:
        """End all requests and close the connections."""
        self._requests.close(self._client.aclose)

    async def _receive(
        self, request: dict[str, Any], key: str | None, channel: Channel[Piece]
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        for path in list(self._paths):
            sent = self._client.stream("POST", path, json=request, headers=headers)
            async with sent as response:
                if response.status_code == httpx2.codes.NOT_FOUND and path != self._paths[-1]:
                    continue
                if response.status_code != httpx2.codes.OK:
                    raise await self._refusal(response, key)
                self._paths = [path]
                await self._hand_over(response, request["max_tokens"], channel)
            return

    async def _hand_over(
        self, response: httpx2.Response, max_tokens: int, channel: Channel[Piece]
    ) -> None:
        room = _LONGEST_TOKEN * max_tokens
        thinking = ThinkSplitter()
        async for piece in self._pieces(response):
            room -= len(piece.text) + len(piece.thought)
            if room < 0:
                raise BackendError(
                    f"{self._url} does not stop at {max_tokens:,} tokens.",
                    "Choose a server that heeds max_tokens.",
                )
            channel.send(_parted(piece, thinking.feed(piece.text)))
        channel.send(_parted(Piece(), thinking.rest()))

    async def _pieces(self, response: httpx2.Response) -> AsyncIterator[Piece]:
        """Read a server-sent event stream up to its [DONE] or its end."""
        async for line in lines(response.aiter_bytes()):
            if not line.startswith("data:"):
                continue  # comments, event names and the empty lines between events
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                yield Piece(last=True)
                return
            try:
                chunk = json.loads(data)
                piece = _read(chunk)
            except (ValueError, TypeError, AttributeError, LookupError):
                raise BackendError(
                    f"{self._url} sent something that is no chat completion: {excerpt(data)}",
                    "Check the url.",
                ) from None
            if piece is None:
                raise refusal(Reply(None, body=chunk), self._server(None))
            yield piece

    async def _refusal(self, response: httpx2.Response, key: str | None) -> WorkbenchError:
        body = (await response.aread()).decode(errors="replace")
        reply = Reply(response.status_code, response.headers, body)
        return refusal(reply, self._server(key))

    def _server(self, key: str | None) -> Server:
        return Server(
            self._url,
            KEY,
            held=key is not None,
            absent="Start the server, or check the url.",
            models=f" It may list its models at {self._url}/models.",
        )


def _read(chunk: Any) -> Piece | None:
    """Read one ``chat.completion.chunk``; None where it reports an error."""
    if chunk.get("error"):
        return None
    usage = chunk.get("usage")
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens")) if usage else None
    text = thought = finish = ""
    called = refused = False
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        refusal_ = delta.get("refusal") or ""
        text += (delta.get("content") or "") + refusal_
        thought += delta.get("reasoning_content") or delta.get("reasoning") or ""
        finish = choice.get("finish_reason") or finish
        called = called or bool(delta.get("tool_calls") or delta.get("function_call"))
        refused = refused or bool(refusal_)
    return Piece(
        text,
        thought,
        finish,
        bool(finish),
        counts,
        str(chunk.get("model") or ""),
        called,
        refused,
    )


def _parted(piece: Piece, parts: Sequence[tuple[str, bool]]) -> Piece:
    """Return a piece with its text parted into thoughts, which come first, and answer."""
    thought = "".join(text for text, is_thought in parts if is_thought)
    answer = "".join(text for text, is_thought in parts if not is_thought)
    return replace(piece, text=answer, thought=piece.thought + thought)


def _request(model: str, messages: Sequence[Message], params: SamplingParams) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if params.seed is not None:
        request["seed"] = params.seed
    if params.stop:
        request["stop"] = list(params.stop)
    return request
