"""Base models in memory, each once for all names that stand upon it, with adapters over them."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

import torch

from workbench.backends import hf_loading
from workbench.backends.hf_batching import Batcher
from workbench.backends.hf_cache import Network
from workbench.backends.hf_chat import Chat
from workbench.backends.hf_names import ModelName


class Engine:
    """A base model with its tokenizer, its batches, and the adapters that are loaded on top."""

    def __init__(self, named: ModelName) -> None:
        loaded = hf_loading.load(named.base, named.precision)
        self.model: Any = loaded.model
        self.identity = loaded.identity
        self.ends = hf_loading.end_tokens(loaded.model, loaded.tokenizer)
        self.chat = Chat(loaded.tokenizer, named.base)
        # Else its sampling preferences would fill whatever a prompt leaves unsaid.
        self.model.generation_config = hf_loading.hf.GenerationConfig()
        self.device = loaded.device
        network = Network(self.model, loaded.device)
        self.batcher = Batcher(network, named.base, self._activate)
        self._adapters: dict[str, _Adapter] = {}
        self._active: str | None = None
        self._numbers = itertools.count()

    def lay(self, source: str) -> tuple[str, str]:
        """Load an adapter unless it is; return its name among the model's, and its identity.

        Raises:
            MissingModel: it is not to be had, or its weights are no safetensors.
            BackendError: it belongs to another model.
        """
        folder = hf_loading.find_adapter(source)
        with self.batcher.paused():
            adapter = self._adapters.get(source)
            if adapter is None:
                name = f"adapter{next(self._numbers)}"
                try:
                    identity = hf_loading.load_adapter(self.model, folder, name)
                finally:
                    self._switch(self._active)  # loading one switches it on
                adapter = self._adapters[source] = _Adapter(name, identity)
            adapter.users += 1
            return adapter.name, adapter.identity

    def lift(self, source: str) -> None:
        """Let go of an adapter; the last who does frees its memory."""
        with self.batcher.paused():
            adapter = self._adapters[source]
            adapter.users -= 1
            if adapter.users == 0:
                del self._adapters[source]
                self._activate(None)
                self.model.delete_adapter(adapter.name)

    def close(self) -> None:
        """Free the memory, once the model has been left."""
        self.batcher.close()
        self.model = None
        hf_loading.give_back_memory()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _activate(self, adapter: str | None) -> None:
        if adapter != self._active:
            self._switch(adapter)
            self._active = adapter

    def _switch(self, adapter: str | None) -> None:
        if not getattr(self.model, "peft_config", None):
            return
        if adapter is None:
            self.model.disable_adapters()
        else:
            self.model.enable_adapters()
            self.model.set_adapter(adapter)


@dataclass(slots=True)
class _Adapter:
    name: str
    identity: str
    users: int = 0


@dataclass(slots=True)
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    engine: Engine | None = None
    users: int = 0


_places: dict[tuple[str, str], _Place] = {}
_guard = threading.Lock()


def lease(named: ModelName) -> tuple[tuple[str, str], Engine]:
    """Return the engine of a model, loaded once, and the key to give it back with.

    Raises:
        MissingModel: the weights are not to be had.
        BackendError: they cannot be loaded.
    """
    device = hf_loading.best_device()
    key = (named.base, f"{hf_loading.held_as(named.precision, device)} {device}")
    with _guard:
        place = _places.setdefault(key, _Place())
    with place.lock:
        if place.engine is None:
            place.engine = Engine(named)
        place.users += 1
        return key, place.engine


def give_back(key: tuple[str, str]) -> None:
    """Let go of an engine; the last who does frees the memory."""
    place = _places[key]
    with place.lock:
        place.users -= 1
        if place.users == 0 and place.engine is not None:
            place.engine.close()
            place.engine = None
