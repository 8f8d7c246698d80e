"""What is in memory: backends are loaded once, shared, and leased."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from workbench.backends.menu import BACKENDS, check_backend
from workbench.types import Backend


class LoadedBackend(Backend, Protocol):
    """A backend that holds something until it is closed."""

    def close(self) -> None:
        """Stop what runs, and free the memory. The backend cannot be used any more."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One backend in memory. Times are seconds since the epoch."""

    name: str
    bytes: int
    measured: int | None
    leased: int
    since: float
    last_used: float


@dataclass(slots=True)
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    backend: LoadedBackend | None = None
    leased: int = 0
    since: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)


_places: dict[tuple[str, str], _Place] = {}
_keys: dict[str, tuple[str, str]] = {}
_guard = threading.Lock()


def load_backend(name: str) -> Backend:
    """Return the backend called ``name``; a model is loaded once in a process, and shared.

    Raises:
        UnknownName: no provider or no model is called so; the message names the nearest ones.
        MissingExtra: its packages are not installed.
        MissingModel: its weights are not here and not to be had.
        BackendError: its weights cannot be loaded.
    """
    return _load(name)[1]


@contextmanager
def lease_backend(name: str) -> Iterator[Backend]:
    """Hold the backend called ``name`` in memory for the block."""
    place, backend = _load(name)
    with _guard:
        place.leased += 1
    try:
        yield backend
    finally:
        with _guard:
            place.leased -= 1
            place.used = time.time()


def waiting_for(name: str) -> list[str]:
    """Return the names that a lease of ``name`` would have to wait for."""
    return []


def loaded() -> list[LoadedModel]:
    """Return what is in memory."""
    with _guard:
        return [
            LoadedModel(name, 0, None, place.leased, place.since, place.used)
            for name, key in _keys.items()
            if (place := _places.get(key)) is not None
        ]


def _load(name: str) -> tuple[_Place, Backend]:
    key = check_backend(name)
    make: Callable[[str, str], LoadedBackend] = BACKENDS.load(key[0])
    with _guard:
        place = _places.setdefault(key, _Place())
        _keys[name] = key
    with place.lock:
        if place.backend is None:
            place.backend = make(key[1], name)
        return place, place.backend


def unload(name: str) -> None:
    """Free what ``load_backend(name)`` holds; nothing happens where it holds nothing."""
    with _guard:
        key = _keys.pop(name, None)
        place = _places.pop(key, None) if key else None
    if place is not None:
        _close(place)


def unload_all() -> None:
    """Free all loaded backends."""
    with _guard:
        places = list(_places.values())
        _places.clear()
        _keys.clear()
    for place in places:
        _close(place)


def _close(place: _Place) -> None:
    with place.lock:
        if place.backend is not None:
            place.backend.close()
            place.backend = None
