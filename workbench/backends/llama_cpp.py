"""Local models through llama.cpp, whose server runs inside this process.

``xllamacpp`` calls back with each chunk, with Python's lock released in between, and ends the
request when the callback returns True. So requests from several threads share the model's
parallel slots, and closing a stream frees its slot before the next token.

Greedy decoding repeats itself for one prompt at a time, whatever was asked before: of an earlier
prompt only whole batches are kept (``llama_slots`` says why, with figures). Requests that run
together are computed in one batch, whose rounding may tip a close call between two tokens.

What a model thinks is told from its answer by llama.cpp where it knows the model's template, and
else by its ``<think>`` tags.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from workbench import weights
from workbench.backends.llama_files import sha256_of_model
from workbench.backends.llama_slots import Lease, Slots
from workbench.backends.reasoning import ThinkSplitter, opens_thoughts
from workbench.backends.rendering import FOLDED, Rendered, control_notes, fold_system
from workbench.backends.streaming import Channel, Transcript
from workbench.cancel import cancelled
from workbench.errors import BackendError, BadInput, BrokenOff, WorkbenchError
from workbench.keys import public
from workbench.settings import settings
from workbench.types import (
    Capabilities,
    Completion,
    FinishReason,
    Message,
    Prompt,
    SamplingParams,
    Sent,
    Token,
)

try:
    import xllamacpp
except ModuleNotFoundError:
    raise  # the registry says which extra brings it
except ImportError as error:
    raise BackendError(
        f"llama.cpp cannot be loaded: {error}.", "On Debian or Ubuntu: apt install libgomp1"
    ) from error

# Tokens of a prompt that are read at once. A request can only be ended between two batches:
# larger ones read no faster on a CPU, and a 1.5B model would go on for seconds after a stop.
_BATCH_OF_CPU, _BATCH_OF_GPU = 128, 512
_ALL_THAT_FIT = -1
_LOUD, _SILENT = 3, -1
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
# The largest seed is llama.cpp's word for "any".
_SEEDS = 2**32 - 1
# What is asked for and nothing else, temperature first, as transformers and vLLM sample. By default
# llama.cpp also cuts to 40 tokens, and a file may bring samplers and penalties of its own
# (general.sampling.*), which change even greedy answers unless the user is said to have chosen all.
_SAMPLERS, _ALL_CHOSEN = "temperature;top_p", 0xFFFF
# Even at temperature 0 the last sampler weighs the whole vocabulary: with 151,936 words 1.6 ms
# a token, in which nothing else is computed. The best one of all is the same word.
_GREEDY = {"samplers": ["top_k"], "top_k": 1}
# Thoughts that a template speaks of: <think>, [THINK], reasoning_content, <|channel|>analysis.
_THOUGHTS = re.compile("think|reasoning|<.?channel", re.IGNORECASE)
_REMEMBERED_PROMPTS = 16


class LlamaCpp:
    """One loaded GGUF model with ``settings().slots`` slots of the whole context length each."""

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        path = weights.locate(resolved)
        params = parameters(path)
        self._sha256 = sha256_of_model(resolved, path)
        params.api_keys = [secret := secrets.token_urlsafe()]
        self._server: Any = start(params)
        self._channels: set[Channel[dict[str, Any]]] = set()
        # The binding has no call for the template and the tokens; the server's own loopback
        # address has.
        self._http = httpx2.Client(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {secret}"},
            trust_env=False,
            timeout=60,
        )
        self._properties = self._ask("GET", "/props")
        self._slots = Slots(params.n_parallel, params.n_batch)
        self._built = (
            f"batch={params.n_batch} gpu_layers={params.n_gpu_layers} samplers={_SAMPLERS}"
        )
        self._render = functools.lru_cache(_REMEMBERED_PROMPTS)(self._rendered)
        self.knows_thoughts = self._knows_thoughts()

    @property
    def context_length(self) -> int:
        """Tokens that prompt and completion may fill together."""
        return int(self._properties["default_generation_settings"]["n_ctx"])

    @property
    def capabilities(self) -> Capabilities:
        """What this model can do."""
        return Capabilities(
            system_role=self._system_role,
            logprobs=True,
            context_length=self.context_length,
            reasoning=_THOUGHTS.search(self._properties.get("chat_template", "")) is not None,
            local=True,
        )

    @property
    def identity(self) -> str:
        """The file's hash, llama.cpp's version, and what else decides rounding or length."""
        return f"llama.cpp {self._model} context={self.context_length} {self._built}"

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the messages after the model's own chat template."""
        return len(self.render(messages).ids)

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return the messages as this model reads them.

        Raises:
            BackendError: the template refuses them, or the model was unloaded.
        """
        self._require_loaded()
        return self._render(tuple(messages))

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it frees the slot.

        Raises:
            BackendError: the prompt is longer than the context, or llama.cpp failed.
            BrokenOff: llama.cpp failed after its first token.
        """
        transcript = Transcript(self.name)
        rendered = self.render(prompt.messages)
        transcript.sent = self._sent(rendered, params)
        lease = self._slots.take(rendered.ids, lambda: self._is_loaded and not cancelled())
        if lease is None:
            yield transcript.completion("cancelled")
            return
        try:
            reading = _Reading(self, rendered, self._cut(lease), transcript)
            yield from self._answer(reading, params)
        finally:
            self._slots.free(lease)

    def close(self) -> None:
        """Stop the requests that run; the memory is free when the last of them has ended."""
        self._server = None
        self._http.close()
        for channel in list(self._channels):
            channel.stop()

    def _answer(
        self, reading: _Reading, params: SamplingParams
    ) -> Generator[Token | Completion, None, None]:
        channel: Channel[dict[str, Any]] = Channel()
        call = functools.partial(
            self._require_loaded().handle_chat_completions,
            _request(reading.rendered.messages, params) | _place(reading.lease),
            lambda chunk: not channel.send(chunk),
        )
        self._channels.add(channel)
        try:
            channel.run(call)
            with closing(channel.read()) as chunks:
                for chunk in chunks:
                    if "prompt_progress" not in chunk and "error" not in chunk:
                        self._slots.read(reading.lease)
                    yield from reading.tokens(chunk)
        except WorkbenchError:
            raise
        except Exception as error:  # the binding's, whose words are llama.cpp's
            raise reading.failed(public(str(error))) from None
        finally:
            self._channels.discard(channel)
        yield from reading.end(stopped=channel.stopped_early)

    def _sent(self, rendered: Rendered, params: SamplingParams) -> Sent:
        return Sent(
            messages=rendered.messages,
            parameters={
                "temperature": params.temperature,
                "top_p": params.top_p,
                "max_tokens": params.max_tokens,
                "seed": None if params.seed is None else _seed(params),
                "stop": params.stop,
            },
            text=rendered.text,
            model=self._model,
            notes=rendered.notes,
        )

    def _cut(self, lease: Lease) -> Lease:
        """Cut what the slot holds down to the tokens that are kept.

        llama.cpp has no call for it, but does so where the next token is another one.
        """
        if not lease.cut:
            return lease
        other = 0 if lease.tokens[lease.kept] else 1
        body = {"prompt": [*lease.tokens[: lease.kept], other], "n_predict": 0, **_place(lease)}
        with suppress(BackendError):  # as where it reads all of a long prompt anew, and so too long
            if self._ask("POST", "/completion", body)["timings"]["cache_n"] >= lease.kept:
                return lease
        # What a model with a sliding window, or with a recurrent state, holds cannot be cut.
        self._slots.keep_nothing()
        return replace(lease, kept=0)

    @property
    def _is_loaded(self) -> bool:
        return self._server is not None

    def _require_loaded(self) -> Any:
        server = self._server
        if server is None:
            raise BackendError(f"{self.name} was unloaded.", "Load it again: load_backend(...)")
        return server

    @property
    def _model(self) -> str:
        return f"sha256:{self._sha256} xllamacpp:{xllamacpp.__version__}"

    @property
    def _system_role(self) -> bool:
        return bool(self._properties["chat_template_caps"]["supports_system_role"])

    def _rendered(self, messages: tuple[Message, ...]) -> Rendered:
        sent, notes = messages, tuple[str, ...]()
        system = [one.content.strip() for one in messages if one.role == "system"]
        folds = bool(system) and not self._system_role
        text = "" if folds else self._templated(sent)
        # There are templates that know a system message only where it comes first.
        if folds or not all(one in text for one in system):
            sent, notes = fold_system(messages), (FOLDED,)
            text = self._templated(sent)
        lost = [one for one in sent if one.content.strip() not in text]
        notes += tuple(
            f"The chat template changed the text of a turn ({one.role})." for one in lost
        )
        notes += control_notes(sent, self._is_control)
        return Rendered(sent, text, self._tokens(text, special=True), notes)

    def _is_control(self, word: str) -> bool:
        as_control, as_text = (self._tokens(word, special=special) for special in (True, False))
        return as_control != as_text

    def _tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": True, "parse_special": special}
        return tuple(self._ask("POST", "/tokenize", body)["tokens"])

    def _templated(self, messages: Sequence[Message]) -> str:
        body = {"messages": _plain(messages), "reasoning_format": "auto"}
        remedy = "Begin with a user's turn, and let user and assistant take turns."
        return str(self._ask("POST", "/apply-template", body, remedy)["prompt"])

    def _knows_thoughts(self) -> bool:
        """Try whether llama.cpp takes out thoughts that the template has opened.

        It does so for the templates that it understands. The grammar has any model say the words.
        """
        hello = (Message("user", "Hello."),)
        if not opens_thoughts(self._templated(hello)):
            return False
        body = {
            "messages": _plain(hello),
            "reasoning_format": "auto",
            "max_tokens": 16,
            "grammar": 'root ::= "mull</think>done"',
        }
        message = self._ask("POST", "/v1/chat/completions", body)["choices"][0]["message"]
        return bool(message.get("reasoning_content"))

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        remedy: str = "Ask again.",
    ) -> Any:
        """Ask the server's own loopback address.

        Raises:
            BadInput: a text cannot be written as UTF-8.
            BackendError: it refused, with its reason, or does not answer.
        """
        try:
            response = self._http.request(method, path, json=body)
        except UnicodeEncodeError:
            raise BadInput(
                "The prompt holds half a character (a lone surrogate).",
                "Take it out, or read its file as UTF-8.",
            ) from None
        except (httpx2.HTTPError, RuntimeError) as error:
            self._require_loaded()
            raise BackendError(
                f"{self.name} does not answer any more: {type(error).__name__}.",
                "Load it again: unload(...), then load_backend(...)",
            ) from None
        if response.status_code == httpx2.codes.OK:
            return response.json()
        raise BackendError(f"{self.name} refuses the prompt: {_reason(response)}", remedy)


class _Reading:
    """Reads the chunks of one answer, as they come, into tokens and at last a Completion."""

    def __init__(
        self, backend: LlamaCpp, rendered: Rendered, lease: Lease, transcript: Transcript
    ) -> None:
        self.rendered = rendered
        self.lease = lease
        self._backend = backend
        self._transcript = transcript
        self._splitter = ThinkSplitter(thinking=rendered.thinking and not backend.knows_thoughts)
        self._finish: FinishReason | None = None
        self._usage: dict[str, Any] = {}
        self._begun = False

    def tokens(self, chunk: dict[str, Any]) -> Iterator[Token]:
        """Yield what a chunk says.

        Raises:
            BackendError: it says that llama.cpp failed.
        """
        if error := chunk.get("error"):
            raise self._error(error)
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if thought := delta.get("reasoning_content"):
                yield self._token(thought, True)
            for text, thinks in self._splitter.feed(delta.get("content") or ""):
                yield self._token(text, thinks)
            if reason := choice.get("finish_reason"):
                self._finish = _FINISH.get(reason, "unknown")

    def end(self, *, stopped: bool) -> Iterator[Token | Completion]:
        """Yield what was held back, and the Completion.

        Raises:
            BrokenOff: llama.cpp ended without a word, and not because it was stopped.
        """
        if self._finish is None and not stopped:
            raise self.failed("it ended in the middle of its answer")
        for text, thinks in self._splitter.rest():
            yield self._token(text, thinks)
        yield self._completion(self._finish or "cancelled")

    def failed(self, why: str) -> BackendError:
        """Return the error, with the answer as far as it came."""
        cause, remedy = f"{self._backend.name} failed: {why.rstrip('.')}.", "Ask again."
        if not self._begun:
            return BackendError(cause, remedy)
        return BrokenOff(cause, remedy, partial=self._completion("broken"))

    def _token(self, text: str, thinks: bool) -> Token:
        self._begun = True
        return self._transcript.token(text, reasoning=thinks)

    def _completion(self, finish: FinishReason) -> Completion:
        sent, read = self._transcript.sent, self._usage.get("prompt_tokens")
        notes = tuple(self._notes(read))
        if sent is not None and notes:
            self._transcript.sent = replace(sent, notes=(*sent.notes, *notes))
        return self._transcript.completion(finish, read, self._usage.get("completion_tokens"))

    def _notes(self, read: int | None) -> Iterator[str]:
        count = len(self.rendered.ids)
        if read is not None and read != count:
            yield f"llama.cpp read {read:,} tokens, but the text shown has {count:,}."
        if kept := (self._usage.get("prompt_tokens_details") or {}).get("cached_tokens"):
            yield (
                f"{kept:,} of the prompt's {count:,} tokens had been read for an earlier call, so"
                " that the first token came sooner."
            )

    def _error(self, error: dict[str, Any]) -> BackendError:
        if error.get("type") == "exceed_context_size_error":
            return BackendError(
                f"The prompt has {error['n_prompt_tokens']:,} tokens; {self._backend.name} reads"
                f" {error['n_ctx']:,}.",
                "Shorten it, ask for fewer hits, or raise WORKBENCH_CONTEXT_LENGTH.",
            )
        return self.failed(public(str(error.get("message", error))))


def parameters(path: Path, slots: int | None = None) -> Any:
    """Return llama.cpp's parameters for a model: threads, slots, context, GPU layers, batches.

    Raises:
        BackendError: the file is no GGUF file.
    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BackendError(
                f"{path} is no GGUF file.", "Choose a .gguf file, or see: workbench models list"
            )
    here = settings()
    on_gpu = here.gpu_layers != 0 and has_gpu()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = slots or here.slots
    params.n_ctx = params.n_parallel * here.context_length  # llama.cpp divides it among the slots
    params.n_batch = params.n_ubatch = _BATCH_OF_GPU if on_gpu else _BATCH_OF_CPU
    params.n_gpu_layers = _ALL_THAT_FIT if here.gpu_layers is None else here.gpu_layers
    # Counts what fits into the GPU's memory by loading the model twice; without one, for nothing.
    params.fit_params = on_gpu and here.gpu_layers is None
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count()
    params.cache_prompt = False  # unless a request asks for it; see llama_slots
    params.cache_ram_mib = 0  # else finished prompts are kept, in up to 8 GiB
    params.n_ctx_checkpoints = 0  # else some models read on from elsewhere than asked
    params.prefill_assistant = False  # the last turn is a turn, as with all other backends
    params.sampling.samplers = _SAMPLERS
    params.sampling.user_sampling_config = _ALL_CHOSEN
    params.verbosity = _LOUD if here.debug else _SILENT
    params.ui = False
    return params


def start(params: Any) -> Any:
    """Load the model, with its HTTP side at the host and port of ``params``: by default a free
    port of the loopback address.

    Raises:
        BackendError: llama.cpp cannot load it.
    """
    try:
        server = xllamacpp.Server(params)
        # A server that is let go before its loop runs waits for its own end forever.
        server.handle_completions({"prompt": [1], "n_predict": 0, "stream": False}, lambda _: False)
        return server
    except RuntimeError as error:
        raise BackendError(
            f"llama.cpp cannot load {Path(params.model.path).name}: damaged, of an unknown"
            " architecture, or too large for this machine's memory.",
            "WORKBENCH_DEBUG=1 shows its own words.",
        ) from error


def has_gpu() -> bool:
    """Say whether this build of llama.cpp finds a GPU."""
    return any(device["type"].name.endswith("GPU") for device in xllamacpp.get_device_info())


def thread_count() -> int:
    """Return the threads that are set, or else one for each core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return settings().threads or cores or 1


def _request(messages: Sequence[Message], params: SamplingParams) -> dict[str, Any]:
    return {
        "messages": _plain(messages),
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "seed": -1 if params.seed is None else _seed(params),
        "stop": [stop for stop in params.stop if stop],
        "reasoning_format": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
        # Calls back after each batch of the prompt, too, so that a stop is heard while it is read.
        "return_progress": True,
        **({} if params.temperature else _GREEDY),
    }


def _place(lease: Lease) -> dict[str, Any]:
    return {"id_slot": lease.number, "cache_prompt": lease.kept > 0}


def _seed(params: SamplingParams) -> int:
    return (params.seed or 0) % _SEEDS


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _reason(response: httpx2.Response) -> str:
    """Return the last line of what the server says: of a template's error, its own words."""
    try:
        said = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        said = response.text
    lines = [line for line in said.splitlines() if line.strip()]
    return public(lines[-1])[:300] if lines else "no reason given"
