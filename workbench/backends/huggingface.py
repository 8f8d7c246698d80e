"""Local models through PyTorch and transformers: safetensors only, and no code from the hub.

``transformers/MODEL`` may be followed by how its weights are held (``+4bit``, ``+8bit``,
``+bf16``, ``+fp16``, ``+fp32``) and by an adapter on top (``+lora=FOLDER``). All names of one base
model share its memory. Requests that come at once are answered in one batch (``hf_batching``),
each with a seed of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
import transformers

from workbench.backends import hf_engine, hf_names
from workbench.backends.hf_rows import Row
from workbench.backends.rendering import Rendered
from workbench.backends.streaming import Channel, Transcript
from workbench.errors import BackendError
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


class Transformers:
    """One text model, on the best device there is or the one that is set, with its adapter."""

    def __init__(self, resolved: str, name: str) -> None:
        self.name = name
        named = hf_names.parse(resolved)
        self._key, engine = hf_engine.lease(named)
        self._engine: hf_engine.Engine | None = engine
        self._channels: set[Channel[Token]] = set()
        self._source = named.adapter
        self._adapter, self._weights = None, engine.identity
        if named.adapter is not None:
            try:
                self._adapter, laid = engine.lay(named.adapter)
            except BaseException:
                hf_engine.give_back(self._key)
                raise
            self._weights += f" {laid}"
        self._config: Any = engine.model.config

    @functools.cached_property
    def context_length(self) -> int:
        """Tokens that prompt and completion may fill together."""
        most = getattr(self._config, "max_position_embeddings", None)
        return min(settings().context_length, most or settings().context_length)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        chat = self.engine.chat
        return Capabilities(
            system_role=chat.system_role,
            context_length=self.context_length,
            reasoning=chat.reasoning,
            local=True,
        )

    @property
    def identity(self) -> str:
        """Name the weights, how they are held, the adapter, the template and the context.

        And what else decides rounding and dice: the device and the libraries.
        """
        engine = self.engine
        run_by = (
            f"{engine.device} torch:{torch.__version__} transformers:{transformers.__version__}"
        )
        return f"{self._weights} {engine.chat.identity} context={self.context_length} {run_by}"

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the messages after the model's own chat template."""
        return len(self.engine.chat.render(messages).ids)

    def stream(self, prompt: Prompt, params: SamplingParams) -> Iterator[Token | Completion]:
        """Yield tokens as they come, then one Completion. Closing it frees its row of the batch.

        Raises:
            BackendError: the prompt is longer than the context, or the model failed.
        """
        engine = self.engine
        transcript = Transcript(self.name)
        rendered = engine.chat.render(prompt.messages)
        room = self.context_length - len(rendered.ids)
        if room < 1:
            raise BackendError(
                f"The prompt has {len(rendered.ids):,} tokens; {self.name} reads"
                f" {self.context_length:,}.",
                "Shorten it, ask for fewer hits, or raise WORKBENCH_CONTEXT_LENGTH.",
            )
        row = Row(
            rendered.ids,
            params,
            most=min(room, params.max_tokens),
            ends=engine.ends,
            tokenizer=engine.chat.tokenizer,
            adapter=self._adapter,
            thinking=rendered.thinking,
        )
        transcript.sent = self._sent(rendered, row)
        self._channels.add(row.channel)
        try:
            engine.batcher.submit(row)
            with closing(row.channel.read()) as pieces:
                for piece in pieces:
                    yield transcript.token(piece.text, reasoning=piece.reasoning)
        except BackendError as error:
            if row.generated:
                error.partial = transcript.completion("broken", len(rendered.ids), row.generated)
            raise
        finally:
            self._channels.discard(row.channel)
        finish: FinishReason = "cancelled" if row.channel.stopped_early else row.finish
        yield transcript.completion(finish, len(rendered.ids), row.generated)

    def close(self) -> None:
        """Stop what runs here; the memory is free when the last name of the model is closed."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        for channel in list(self._channels):
            channel.stop()
        if self._source is not None:
            engine.lift(self._source)
        hf_engine.give_back(self._key)

    @property
    def engine(self) -> hf_engine.Engine:
        """What is in memory, and may be shared with other names of the same weights.

        Raises:
            BackendError: this backend was closed.
        """
        if self._engine is None:
            raise BackendError(f"{self.name} was unloaded.", "Load it again: load_backend(...)")
        return self._engine

    def _sent(self, rendered: Rendered, row: Row) -> Sent:
        params = row.params
        return Sent(
            messages=rendered.messages,
            parameters={
                "temperature": params.temperature,
                "top_p": params.top_p,
                "max_tokens": row.most,
                "seed": params.seed,
                "stop": params.stop,
            },
            text=rendered.text,
            model=self._weights,
            notes=rendered.notes,
        )
