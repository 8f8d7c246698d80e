"""Any server that speaks OpenAI's chat protocol: llama-server, vLLM, LM Studio, Ollama, ...

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming. Requests run as tasks
of one event loop, because a task can be cancelled while its socket is silent and a thread cannot.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2

from workbench.backends.streaming import Channel, Transcript
from workbench.errors import BackendError, MissingKey, WorkbenchError
from workbench.settings import settings
from workbench.types import Completion, FinishReason, Message, Prompt, SamplingParams, Token

KEY = "OPENAI_COMPATIBLE_API_KEY"
_CONNECT_SECONDS = 5.0
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_EXCERPT = 200
# Longer than any token of a code model (Qwen's longest is a run of 128 spaces): a server that sends
# more than this for each token asked for does not heed the limit, and would fill the memory.
_LONGEST_TOKEN = 128


class OpenAICompatible:
    """One model of one server. Requests from several threads run at once."""

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        at = max(resolved.rfind("@http://"), resolved.rfind("@https://"))
        self._model, self._url = resolved[:at], resolved[at + 1 :]
        self._paths = [f"{self._url}/chat/completions"]
        if not self._url.endswith("/v1"):
            self._paths.append(f"{self._url}/v1/chat/completions")
        timeout = httpx2.Timeout(settings().token_timeout, connect=_CONNECT_SECONDS)
        self._client = httpx2.AsyncClient(timeout=timeout)
        self._loop = asyncio.new_event_loop()
        self._closed = False
        threading.Thread(target=self._run_loop, name=name, daemon=True).start()

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it ends the request.

        Raises:
            MissingKey: the server wants a key, or refuses the one it was given.
            BackendError: the server refused, failed, or broke off: never a complete answer then.
        """
        if self._closed:
            raise BackendError(f"{self.name} was unloaded.", "Load it again: load_backend(...)")
        transcript = Transcript(self.name)
        channel: Channel[_Piece] = Channel(on_stop=lambda: task.cancel())
        request = _request(self._model, prompt.messages, params)
        task = asyncio.run_coroutine_threadsafe(self._relay(request, channel), self._loop)
        finish: FinishReason = "unknown"
        counts: tuple[int | None, int | None] = None, None
        with closing(channel.read()) as pieces:
            for piece in pieces:
                if piece.text:
                    yield transcript.token(piece.text)
                if piece.finish:
                    finish = _FINISH.get(piece.finish, "unknown")
                counts = piece.counts or counts
        yield transcript.completion("cancelled" if channel.stopped_early else finish, *counts)

    def close(self) -> None:
        """End all requests and close the connections."""
        if self._closed:
            return
        self._closed = True

        async def shut_down() -> None:
            requests = asyncio.all_tasks() - {asyncio.current_task()}
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            await self._client.aclose()

        asyncio.run_coroutine_threadsafe(shut_down(), self._loop).result(_CONNECT_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run_loop(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _relay(self, request: dict[str, Any], channel: Channel[_Piece]) -> None:
        """Send the request and hand what comes back over, errors too."""
        try:
            await self._receive(request, channel)
        except asyncio.CancelledError:
            channel.stop()
            channel.end()
            raise
        except Exception as error:
            channel.end(self._explained(error))
        else:
            channel.end()

    async def _receive(self, request: dict[str, Any], channel: Channel[_Piece]) -> None:
        for path in list(self._paths):
            sent = self._client.stream("POST", path, json=request, headers=_authorization())
            async with sent as response:
                if response.status_code == httpx2.codes.NOT_FOUND and path != self._paths[-1]:
                    continue
                if response.status_code != httpx2.codes.OK:
                    raise await self._refusal(response)
                self._paths = [path]
                anything = complete = False
                room = _LONGEST_TOKEN * request["max_tokens"]
                async for piece in self._pieces(response):
                    room -= len(piece.text)
                    if room < 0:
                        raise BackendError(
                            f"{self._url} does not stop at {request['max_tokens']:,} tokens.",
                            "Choose a server that heeds max_tokens.",
                        )
                    anything, complete = True, complete or piece.last
                    channel.send(piece)
            if not anything:
                raise BackendError(f"{self._url} sent no chat completion.", "Check the url.")
            if not complete:
                raise BackendError(f"{self._url} broke off within its answer.", "Ask again.")
            return

    async def _pieces(self, response: httpx2.Response) -> AsyncIterator[_Piece]:
        """Read a server-sent event stream up to its [DONE] or its end."""
        async for line in response.aiter_lines():
            if not line.startswith("data:"):
                continue  # comments, event names and the empty lines between events
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                yield _Piece(done=True)
                return
            try:
                piece = _read(json.loads(data))
            except (ValueError, TypeError, AttributeError, LookupError) as error:
                raise BackendError(
                    f"{self._url} sent something that is no chat completion: {_clean(data)}",
                    "Check the url.",
                ) from error
            if piece is None:
                raise BackendError(f"{self._url} failed: {_reason(data)}", "Ask again.")
            yield piece

    async def _refusal(self, response: httpx2.Response) -> WorkbenchError:
        status = response.status_code
        body = (await response.aread()).decode(errors="replace")
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            # No excerpt: servers repeat the key that they refuse.
            held = "refuses the key it was given" if os.environ.get(KEY) else "wants a key"
            return MissingKey(f"{self._url} {held} (HTTP {status}).", f"Set {KEY}.")
        remedy = "Ask again later."
        if status == httpx2.codes.NOT_FOUND:
            remedy = (
                f"Check the model's name and the url; it may list its models at {self._url}/models."
            )
        elif status < httpx2.codes.INTERNAL_SERVER_ERROR:
            remedy = "Check the model's name, the prompt's length and the url."
        return BackendError(f"{self._url} answers HTTP {status}: {_reason(body)}", remedy)

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
            return BackendError(f"Nothing answers at {self._url}.", "Start the server.")
        if isinstance(error, httpx2.TimeoutException):
            return BackendError(
                f"{self._url} was silent for {settings().token_timeout:g} s.",
                "Ask again, or raise WORKBENCH_TOKEN_TIMEOUT.",
            )
        if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
            return BackendError(
                f"{self._url} broke off: {type(error).__name__}.", "Ask again, or check the url."
            )
        return error


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one event of the stream says."""

    text: str = ""
    finish: str = ""
    counts: tuple[int | None, int | None] | None = None
    done: bool = False

    @property
    def last(self) -> bool:
        return self.done or bool(self.finish)


def _read(chunk: Any) -> _Piece | None:
    """Read one ``chat.completion.chunk``; None where it reports an error."""
    if chunk.get("error"):
        return None
    text, finish = "", ""
    for choice in chunk.get("choices") or ():
        text += (choice.get("delta") or {}).get("content") or ""
        finish = choice.get("finish_reason") or finish
    usage = chunk.get("usage")
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens")) if usage else None
    return _Piece(text, finish, counts)


def _authorization() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


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


def _reason(body: str) -> str:
    """Return the message of an error body, whatever its shape."""
    try:
        found = json.loads(body)
    except ValueError:
        return _clean(body)
    for step in ("error", "message"):
        if isinstance(found, dict) and step in found:
            found = found[step]
    return _clean(found if isinstance(found, str) else body)


def _clean(text: str) -> str:
    """Shorten a server's words, and take the key out where it repeats it."""
    key = os.environ.get(KEY)
    return (text.replace(key, "***") if key else text)[:_EXCERPT] or "(nothing)"
