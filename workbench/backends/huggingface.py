"""Local models through PyTorch and transformers: safetensors only, and no code from the hub.

A short name is the same GGUF file that llama.cpp reads, unpacked once to bfloat16 safetensors.
One prompt at a time is answered; a second one waits. Sampling is seeded by torch's one generator.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from tokenizers.decoders import DecodeStream

from workbench import weights
from workbench.backends.streaming import Channel, StopStrings, Transcript
from workbench.errors import BackendError, MissingModel
from workbench.progress import bar
from workbench.settings import settings
from workbench.types import Completion, FinishReason, Message, Prompt, SamplingParams, Token
from workbench.weights.catalogue import CATALOGUE

# Parts of it are untyped, and parts typed more narrowly than they are.
hf: Any = transformers
_sampling = threading.Lock()


class Transformers:
    """One loaded text model, on the best device there is or the one that is set."""

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._channels: set[Channel[str]] = set()
        self._channel: Channel[str] | None = None
        self._device = best_device()
        self._model, self._tokenizer = _load(resolved, self._device)
        self._eos = _end_tokens(self._model, self._tokenizer)
        # Else its sampling preferences would fill whatever a prompt leaves unsaid.
        self._model.generation_config = hf.GenerationConfig()
        layers = [one for one in self._model.modules() if isinstance(one, torch.nn.ModuleList)]
        for layer in max(layers, key=len, default=()):
            layer.register_forward_pre_hook(self._leave_if_stopped)

    @functools.cached_property
    def context_length(self) -> int:
        """Tokens that prompt and completion may fill together."""
        most = getattr(self._model.config, "max_position_embeddings", None)
        return min(settings().context_length, most or settings().context_length)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the messages after the model's own chat template."""
        return len(self._ids(messages))

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it stops the model in a layer.

        Raises:
            BackendError: the prompt is longer than the context, or the model failed.
        """
        if self._model is None:
            raise BackendError(f"{self.name} was unloaded.", "Load it again: load_backend(...)")
        transcript = Transcript(self.name)
        ids = self._ids(prompt.messages)
        room = self.context_length - len(ids)
        if room < 1:
            raise BackendError(
                f"The prompt has {len(ids):,} tokens; {self.name} reads {self.context_length:,}.",
                "Shorten it, ask for fewer hits, or raise WORKBENCH_CONTEXT_LENGTH.",
            )
        channel: Channel[str] = Channel()
        job = _Job(ids, _generation(params, min(room, params.max_tokens), self._eos), params)
        self._channels.add(channel)
        try:
            channel.run(functools.partial(self._generate, job, channel))
            with closing(channel.read()) as pieces:
                for piece in pieces:
                    yield transcript.token(piece)
        finally:
            self._channels.discard(channel)
        finish: FinishReason = "cancelled" if channel.stopped_early else job.finish
        yield transcript.completion(finish, len(ids), job.generated)

    def close(self) -> None:
        """Stop what runs and free the memory."""
        for channel in list(self._channels):
            channel.stop()
        with self._lock:
            self._model = None
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        if self._tokenizer.chat_template:
            turns = [{"role": one.role, "content": one.content} for one in messages]
            try:
                text = self._tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=True
                )
            except Exception as error:  # a template is a program, and says no in its own words
                raise BackendError(
                    f"The chat template of {self.name} refuses the messages: {error}."
                ) from error
            plain = False
        else:
            text, plain = "\n\n".join(one.content for one in messages), True
        return list(self._tokenizer(text, add_special_tokens=plain)["input_ids"])

    def _generate(self, job: _Job, channel: Channel[str]) -> None:
        with self._lock, _sampling if job.config.do_sample else nullcontext():
            model, self._channel = self._model, channel
            if model is None or channel.stopped:
                return
            if job.params.seed is not None:
                torch.manual_seed(job.params.seed)
            inputs = torch.tensor([job.ids], device=self._device)
            writer = _Writer(self._tokenizer, job, channel)
            try:
                with torch.inference_mode():
                    model.generate(
                        inputs,
                        attention_mask=torch.ones_like(inputs),
                        generation_config=job.config,
                        streamer=writer,
                    )
            except _Stopped:
                pass
            except (RuntimeError, torch.OutOfMemoryError) as error:
                raise BackendError(
                    f"{self.name} failed: {str(error).splitlines()[0]}",
                    "Try a smaller model, or set WORKBENCH_DEVICE=cpu.",
                ) from error
            finally:
                self._channel = None

    def _leave_if_stopped(self, *_: object) -> None:
        if self._channel is not None and self._channel.stopped:
            raise _Stopped


class _Stopped(Exception):
    """Nobody waits for the rest; raised inside the model, between two layers or tokens."""


class _Job:
    """One prompt on its way through ``generate``, and what is known of it afterwards."""

    def __init__(self, ids: list[int], config: Any, params: SamplingParams) -> None:
        self.ids = ids
        self.config = config
        self.params = params
        self.generated = 0
        self.finish: FinishReason = "stop"


class _Writer:
    """Turns token ids into text as ``generate`` hands them over; a streamer by its two methods."""

    def __init__(self, tokenizer: Any, job: _Job, channel: Channel[str]) -> None:
        self._tokenizer = tokenizer.backend_tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stops = StopStrings(job.params.stop)
        self._job = job
        self._channel = channel
        self._prompt_seen = False

    def put(self, value: Any) -> None:
        """Decode what came; the first call brings the prompt."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
            self._job.generated += 1
            if token in self._job.config.eos_token_id:
                self._job.finish = "stop"
                return
            self._job.finish = "length"
            self._send(self._stops.feed(self._decoder.step(self._tokenizer, token) or ""))
            if self._stops.found:
                self._job.finish = "stop"
                raise _Stopped

    def end(self) -> None:
        """Hand over what was held back as the possible start of a stop string."""
        self._send(self._stops.rest())

    def _send(self, text: str) -> None:
        if text and not self._channel.send(text):
            raise _Stopped


def best_device() -> str:
    """Return where PyTorch runs: what is set, or else cuda, mps or cpu, in this order."""
    chosen = settings().device
    if chosen:
        return chosen
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """Return the number type: what is set, or else bfloat16 where the device computes in it.

    Raises:
        BackendError: what is set is no number type of PyTorch.
    """
    chosen = settings().dtype
    if chosen:
        found = getattr(torch, chosen, None)
        if isinstance(found, torch.dtype):
            return found
        raise BackendError(
            f"WORKBENCH_DTYPE is '{chosen}', which PyTorch does not know.",
            "Set it to float32, bfloat16 or float16.",
        )
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device == "mps":
        return torch.float16
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _load(resolved: str, device: str) -> tuple[Any, Any]:
    source = str(_unpacked(resolved)) if resolved in CATALOGUE else resolved
    options = {"trust_remote_code": False, "local_files_only": settings().offline}
    if settings().threads:
        torch.set_num_threads(settings().threads or 1)
    with _quiet():
        try:
            tokenizer = hf.AutoTokenizer.from_pretrained(source, **options)
            model = hf.AutoModelForCausalLM.from_pretrained(
                source, dtype=best_dtype(device), use_safetensors=True, **options
            )
            return model.to(device).eval(), tokenizer
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise MissingModel(
                f"transformers cannot load {resolved}: {_first_sentence(error)}",
                "Name a hub id that can be reached, a folder with config.json, tokenizer and"
                " *.safetensors, or see: workbench models list",
            ) from error
        except (RuntimeError, AssertionError) as error:
            raise BackendError(
                f"{resolved} cannot be put on '{device}': {_first_sentence(error)}",
                "Set WORKBENCH_DEVICE=cpu, or choose a smaller model.",
            ) from error


def _unpacked(name: str) -> Path:
    """Return the model as a folder of safetensors; made once from the GGUF file of that name."""
    gguf = weights.locate(name)
    folder = settings().models / name / "transformers"
    with FileLock(folder.with_name(".transformers.lock")):
        if not (folder / "config.json").is_file():
            _unpack(gguf, folder)
    return folder


def _unpack(gguf: Path, folder: Path) -> None:
    half_made = folder.with_name(".transformers")
    with bar(total=2, desc=f"{gguf.stem}: unpacking for PyTorch", unit="step") as steps, _quiet():
        source: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
        tokenizer = hf.AutoTokenizer.from_pretrained(gguf.parent, **source)
        steps.update()
        model = hf.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            dtype=torch.bfloat16,
            quantization_config=hf.GgufConfig(gguf_file=gguf.name, dequantize=True),
            **source,
        )
        model.save_pretrained(half_made)
        tokenizer.save_pretrained(half_made)
        steps.update()
    half_made.replace(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no bars and no warnings of transformers' own within the block."""
    log = hf.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    if not settings().debug:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _generation(params: SamplingParams, max_tokens: int, eos: list[int]) -> Any:
    """Return what ``generate`` is told; nothing comes from the model's own preferences."""
    config = hf.GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=params.temperature > 0,
        eos_token_id=eos,
        pad_token_id=eos[0] if eos else 0,
    )
    if config.do_sample:
        config.update(temperature=params.temperature, top_p=params.top_p, top_k=0)
    return config


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer: the model's, and the tokenizer's where it has none."""
    found = model.generation_config.eos_token_id
    if found is None:
        found = tokenizer.eos_token_id
    if found is None:
        return []
    return [found] if isinstance(found, int) else list(found)


def _first_sentence(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.partition(". ")[0].rstrip(".") + "."
