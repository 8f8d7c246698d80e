"""Local models through llama.cpp, whose server runs inside this process.

``xllamacpp`` calls back with each chunk, with Python's lock released in between, and ends the
request when the callback returns True. So requests from several threads share the model's
parallel slots, and closing a stream frees its slot before the next token.

Greedy decoding repeats itself for one prompt at a time. Requests that run together are computed
in one batch, whose rounding may tip a close call between two tokens.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from workbench import weights
from workbench.backends.streaming import Channel, Transcript
from workbench.errors import BackendError
from workbench.settings import settings
from workbench.types import Completion, FinishReason, Message, Prompt, SamplingParams, Token

try:
    import xllamacpp
except ModuleNotFoundError:
    raise  # the registry says which extra brings it
except ImportError as error:
    raise BackendError(
        f"llama.cpp cannot be loaded: {error}.", "On Debian or Ubuntu: apt install libgomp1"
    ) from error

SLOTS = 4
# Tokens of a prompt that are read at once. A request can only be ended between two batches:
# larger ones read no faster on a CPU, and a 1.5B model would go on for seconds after a stop.
_BATCH = 128
_LOUD, _SILENT = 3, -1
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class LlamaCpp:
    """One loaded GGUF model with ``SLOTS`` slots, each with the whole context length."""

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        path = weights.locate(resolved)
        self._server: Any = _serve(path, secret := secrets.token_urlsafe())
        self._channels: set[Channel[dict[str, Any]]] = set()
        # The binding has no call for these two; the server's own loopback address has.
        self._http = httpx2.Client(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {secret}"},
            trust_env=False,
            timeout=60,
        )

    @functools.cached_property
    def context_length(self) -> int:
        """Tokens that prompt and completion may fill together."""
        properties = self._http.get("/props").raise_for_status().json()
        return int(properties["default_generation_settings"]["n_ctx"])

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the messages after the model's own chat template."""
        body = {"messages": _plain(messages)}
        counted = self._http.post("/v1/chat/completions/input_tokens", json=body)
        return int(counted.raise_for_status().json()["input_tokens"])

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it frees the slot.

        Raises:
            BackendError: the prompt is longer than the context, or llama.cpp failed.
        """
        if self._server is None:
            raise BackendError(f"{self.name} was unloaded.", "Load it again: load_backend(...)")
        transcript = Transcript(self.name)
        channel: Channel[dict[str, Any]] = Channel()
        call = functools.partial(
            self._server.handle_chat_completions,
            _request(prompt, params),
            lambda chunk: not channel.send(chunk),
        )
        self._channels.add(channel)
        finish: FinishReason | None = None
        usage: dict[str, int] = {}
        try:
            channel.run(call)
            with closing(channel.read()) as chunks:
                for chunk in chunks:
                    self._raise_for(chunk)
                    usage = chunk.get("usage") or usage
                    for choice in chunk["choices"]:
                        if text := choice["delta"].get("content"):
                            yield transcript.token(text)
                        if reason := choice.get("finish_reason"):
                            finish = _FINISH.get(reason, "unknown")
        finally:
            self._channels.discard(channel)
        if finish is None:
            if not channel.stopped_early:
                raise BackendError(f"{self.name} ended in the middle of its answer.", "Ask again.")
            finish = "cancelled"
        yield transcript.completion(
            finish, usage.get("prompt_tokens"), usage.get("completion_tokens")
        )

    def close(self) -> None:
        """Stop the requests that run; the memory is free when the last of them has ended."""
        self._server = None
        self._http.close()
        for channel in list(self._channels):
            channel.stop()

    def _raise_for(self, chunk: dict[str, Any]) -> None:
        error = chunk.get("error")
        if error is None:
            return
        if error.get("type") == "exceed_context_size_error":
            raise BackendError(
                f"The prompt has {error['n_prompt_tokens']:,} tokens; {self.name} reads"
                f" {error['n_ctx']:,}.",
                "Shorten it, ask for fewer hits, or raise WORKBENCH_CONTEXT_LENGTH.",
            )
        raise BackendError(f"{self.name} failed: {error.get('message', error)}.")


def _serve(path: Path, secret: str) -> Any:
    """Load the model, with its HTTP side on a free loopback port behind ``secret``."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BackendError(
                f"{path} is no GGUF file.", "Choose a .gguf file, or see: workbench models list"
            )
    here = settings()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * here.context_length  # llama.cpp divides it among the slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count()
    params.cache_ram_mib = 0  # else finished prompts are kept, in up to 8 GiB
    params.verbosity = _LOUD if here.debug else _SILENT
    params.api_keys = [secret]
    params.ui = False
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise BackendError(
            f"llama.cpp cannot load {path.name}: damaged, of an unknown architecture, or too"
            " large for this machine's memory.",
            "WORKBENCH_DEBUG=1 shows its own words.",
        ) from error


def thread_count() -> int:
    """Return the threads that are set, or else one for each core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return settings().threads or cores or 1


def _request(prompt: Prompt, params: SamplingParams) -> dict[str, Any]:
    return {
        "messages": _plain(prompt.messages),
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "seed": -1 if params.seed is None else params.seed,
        "stop": list(params.stop),
        # Samplers that nobody asked for, and that other backends do not have by default.
        "top_k": 0,
        "min_p": 0.0,
        # A prompt read from the cache is computed in other batches: rounding would then depend
        # on what was asked before.
        "cache_prompt": False,
        "reasoning_format": "none",
        "stream": True,
        "stream_options": {"include_usage": True},
        # Calls back after each batch of the prompt, too, so that a stop is heard while it is read.
        "return_progress": True,
    }


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
