"""Rows that go through the model together: their tokens, their mask, their keys and values.

All rows of a batch end in the same column, so what is shorter is padded on the left. Positions
count from a row's own first token: where its columns lie makes no difference to what it says.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

import psutil
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from workbench.backends.hf_rows import Row

Mode = Literal["joining", "together", "alone"]

# A cache is copied when it grows, and what joins is copied into it.
_COPIES = 2
_SHARE_OF_MEMORY = 0.8


class Stopped(Exception):
    """Nobody waits for any row of this forward; raised inside the model, between two layers."""


class Network:
    """A model's forward, which is left between two layers when nobody waits for it any more."""

    def __init__(self, model: Any, device: str) -> None:
        self.model = model
        self.device = device
        self._watched: Sequence[Row] = ()
        self._last_only = "logits_to_keep" in inspect.signature(model.forward).parameters
        layers = [one for one in model.modules() if isinstance(one, torch.nn.ModuleList)]
        for layer in max(layers, key=len, default=()):
            layer.register_forward_pre_hook(self._leave_if_stopped)

    @property
    def mode(self) -> Mode:
        """How requests can share a batch.

        Keys and values of plain attention can be padded, joined and parted at will. A sliding
        window knows one length for all its rows, so nobody joins once it has begun. All else
        (linear attention, state spaces, a model's own kind of cache) is answered one at a time.
        """
        model = self.model
        if not model._supports_default_dynamic_cache() or getattr(model, "_is_stateful", False):
            return "alone"
        if "position_ids" not in inspect.signature(model.forward).parameters:
            return "alone"
        kinds = {type(layer) for layer in self.new_cache().layers}
        if kinds == {DynamicLayer}:
            return "joining"
        return "together" if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else "alone"

    def new_cache(self) -> Any:
        """Return an empty cache with the layers that the model needs."""
        return DynamicCache(config=self.model.config)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: Any, rows: Sequence[Row]
    ) -> torch.Tensor:
        """Return float32[rows, vocabulary] for the column behind the last of ``ids``.

        ``ids`` are int64[rows, new columns], ``mask`` is int64[rows, all columns].

        Raises:
            Stopped: nobody waits for any of the rows.
        """
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with self.watching(rows):
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                **({"logits_to_keep": 1} if self._last_only else {}),
            )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    @contextmanager
    def watching(self, rows: Sequence[Row]) -> Iterator[None]:
        """Within the block, leave the model as soon as nobody waits for any of the rows."""
        self._watched = rows
        try:
            yield
        finally:
            self._watched = ()

    def has_room(self, rows: int, length: int, live: Live | None) -> bool:
        """Say whether the memory that is free holds the keys and values of so many rows."""
        needed = rows * length * self._token_bytes * _COPIES
        return needed <= _SHARE_OF_MEMORY * (self._free_bytes + (live.bytes if live else 0))

    @property
    def _token_bytes(self) -> int:
        config = self.model.config.get_text_config(decoder=True)
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        heads = getattr(config, "num_key_value_heads", None) or heads
        return int(2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize)

    @property
    def _free_bytes(self) -> int:
        if self.device.startswith("cuda"):
            reserved = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
            return int(torch.cuda.mem_get_info()[0] + reserved)
        return int(psutil.virtual_memory().available)

    def _leave_if_stopped(self, *_: object) -> None:
        if self._watched and all(row.left for row in self._watched):
            raise Stopped


class Live:
    """Rows that generate: one more column for each of them with every step."""

    def __init__(self, rows: list[Row], cache: Any, mask: torch.Tensor) -> None:
        self.rows = rows
        self._cache = cache
        self._mask = mask

    @property
    def bytes(self) -> int:
        """What the keys and values take."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self._layers)

    def step(self, network: Network) -> torch.Tensor:
        """Return the logits behind each row's last token, float32[rows, vocabulary]."""
        ids = torch.tensor([row.ids[-1:] for row in self.rows], device=self._mask.device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=1)
        return network.forward(ids, self._mask, self._cache, self.rows)

    def keep(self, rows: list[Row]) -> None:
        """Go on with these of the rows only."""
        if len(rows) == len(self.rows):
            return
        places = [place for place, row in enumerate(self.rows) if row in rows]
        self.rows = rows
        index = torch.tensor(places, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]
        self._trim()

    def join(self, other: Live) -> None:
        """Take in the rows of another batch. Only caches of plain attention can be joined."""
        columns = max(self._mask.shape[1], other._mask.shape[1])
        for mine, theirs in zip(self._layers, other._layers, strict=True):
            mine.keys = _stack(mine.keys, theirs.keys, columns, dim=-2)
            mine.values = _stack(mine.values, theirs.values, columns, dim=-2)
        self._mask = _stack(self._mask, other._mask, columns, dim=-1)
        self.rows = [*self.rows, *other.rows]

    def _trim(self) -> None:
        """Cut off the columns that hold nothing any more, as their rows have left."""
        empty = int(self._mask.argmax(dim=1).min())
        if empty and all(type(layer) is DynamicLayer for layer in self._layers):
            for layer in self._layers:
                layer.keys, layer.values = layer.keys[:, :, empty:], layer.values[:, :, empty:]
            self._mask = self._mask[:, empty:]

    @property
    def _layers(self) -> list[Any]:
        return [layer for layer in self._cache.layers if layer.is_initialized]


class Reading:
    """Prompts on their way into a cache of their own; rows with the same tokens share one."""

    def __init__(self, rows: Sequence[Row], network: Network) -> None:
        self._sharing: dict[tuple[int, ...], list[Row]] = {}
        for row in rows:
            self._sharing.setdefault(tuple(row.ids), []).append(row)
        width = max(len(prompt) for prompt in self._sharing)
        missing = [width - len(prompt) for prompt in self._sharing]
        padded = [
            [0] * short + list(ids) for short, ids in zip(missing, self._sharing, strict=True)
        ]
        marks = [[0] * short + [1] * (width - short) for short in missing]
        self._ids = torch.tensor(padded, device=network.device)
        self._mask = torch.tensor(marks, device=network.device)
        self._cache = network.new_cache()
        self._read = 0

    @property
    def rows(self) -> list[Row]:
        """All rows, those of one prompt beside each other."""
        return list(chain.from_iterable(self._sharing.values()))

    @property
    def prompts(self) -> int:
        """How many different prompts are read."""
        return len(self._sharing)

    @property
    def tokens(self) -> int:
        """How many tokens they have, without padding."""
        return sum(len(prompt) for prompt in self._sharing)

    def share(self, row: Row) -> bool:
        """Let a row have what is read here, where it begins with the same tokens."""
        sharing = self._sharing.get(tuple(row.ids))
        if sharing is None or sharing[0].adapter != row.adapter:
            return False
        sharing.append(row)
        return True

    def read(self, network: Network, columns: int | None) -> tuple[int, torch.Tensor | None]:
        """Read the next columns, or all; return how many tokens that were.

        At the end, the logits behind each prompt come with it: float32[prompts, vocabulary].
        """
        until = self._ids.shape[1] if columns is None else self._read + columns
        piece = self._ids[:, self._read : until]
        self._read += piece.shape[1]
        logits = network.forward(piece, self._mask[:, : self._read], self._cache, self.rows)
        return piece.numel(), logits if self._read == self._ids.shape[1] else None

    def keep(self, rows: list[Row]) -> None:
        """Go on for these of the rows only; a prompt that was another's alone is forgotten."""
        staying = {
            prompt: [row for row in sharing if row in rows]
            for prompt, sharing in self._sharing.items()
        }
        places = [place for place, sharing in enumerate(staying.values()) if sharing]
        if len(places) < len(staying):
            index = torch.tensor(places, device=self._ids.device)
            self._ids, self._mask = self._ids[index], self._mask[index]
            self._cache.batch_select_indices(index)
        self._sharing = {prompt: sharing for prompt, sharing in staying.items() if sharing}

    @property
    def places(self) -> list[int]:
        """The place of each row's prompt among the prompts."""
        return [place for place, sharing in enumerate(self._sharing.values()) for _ in sharing]

    def finished(self) -> Live:
        """Return the batch of all rows, once all is read."""
        mask = self._mask
        if len(self.rows) > self.prompts:
            index = torch.tensor(self.places, device=mask.device)
            self._cache.batch_select_indices(index)
            mask = mask[index]
        return Live(self.rows, self._cache, mask)


def _stack(upper: torch.Tensor, lower: torch.Tensor, columns: int, dim: int) -> torch.Tensor:
    """Put rows under rows, each padded with zeros on the left of ``dim`` to so many columns."""

    def padded(part: torch.Tensor) -> torch.Tensor:
        missing = columns - part.shape[dim]
        if not missing:
            return part
        shape = list(part.shape)
        shape[dim] = missing
        return torch.cat([part.new_zeros(shape), part], dim=dim)

    return torch.cat([padded(upper), padded(lower)], dim=0)
