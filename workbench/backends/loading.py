"""What is in memory: backends are loaded once, shared, and leased for as long as they answer.

What is loaded never takes more, by its estimates, than there is. Who finds no room unloads what
nobody leases, least recently used first, and where that is not enough waits until leases are given
back: first come, first served. Backends that take no memory here never wait.

- A thread that holds a lease comes before all that hold none: what it holds is given back the
  sooner. So a small model does not slip past a large one that waits, and nobody starves.
- A thread whose second lease could only be given once it gave back its first is refused, and so is
  the one that would close a circle of such threads. Nobody is left hanging.
- What a batch holds (``hold_backend``) is shared at once with whoever asks for it: its own threads
  do, and it ends the sooner. A late one who asks for what is only leased waits its turn, but not
  for long: the lease may be one of its own that another thread took.
- What ``load_backend`` loaded stays until ``unload``, and makes no room for others.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

import psutil

from workbench.backends import memory
from workbench.backends.memory import GIB, Footprint, MemoryEstimate, gib, together
from workbench.backends.menu import BACKENDS, check_backend
from workbench.cancel import cancelled
from workbench.errors import BackendError, BadInput, Cancelled, TooLarge, WorkbenchError
from workbench.settings import settings
from workbench.types import Backend

_POLL_SECONDS = 0.2
_GIVE_UP_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0

Key = tuple[str, str]
Waiting = Callable[[list[str]], object]


class LoadedBackend(Backend, Protocol):
    """A backend that holds something until it is closed."""

    def close(self) -> None:
        """Stop what runs, and free the memory. The backend cannot be used any more."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One backend in memory. Times are seconds since the epoch.

    ``bytes`` are estimated, with the libraries; ``measured`` is what loading it took of the
    device, None where something else was loaded meanwhile. ``leased`` counts who uses it now;
    ``kept`` says that ``load_backend`` brought it, so that it stays until it is unloaded.
    """

    name: str
    device: str
    bytes: int
    measured: int | None
    leased: int
    kept: bool
    since: float
    last_used: float


Use = Literal["lease", "hold", "keep"]


@dataclass(frozen=True, eq=False, slots=True)
class _Lease:
    """One use of a place by one thread."""

    thread: int
    use: Use


@dataclass(eq=False, slots=True)
class _Waiter:
    """A thread that asks for a backend, from its call until it has it.

    ``limit`` is what models may take together on its device, as it was when it last looked.
    """

    key: Key
    name: str
    estimate: MemoryEstimate
    footprint: Footprint
    thread: int
    use: Use
    order: int
    limit: int | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def needs_room(self) -> bool:
        return bool(self.footprint.parts) and self.key not in _places


@dataclass(eq=False, slots=True)
class _Place:
    """One backend that is loaded, or on its way in or out."""

    by: _Waiter
    order: int
    state: Literal["loading", "ready", "closing"] = "loading"
    backend: LoadedBackend | None = None
    leases: list[_Lease] = field(default_factory=list)
    kept: bool = False
    measured: int | None = None
    since: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        return self.by.name

    @property
    def footprint(self) -> Footprint:
        return self.by.footprint

    @property
    def held(self) -> bool:
        return any(lease.use == "hold" for lease in self.leases)

    def is_leased_by(self, threads: Container[int]) -> bool:
        return any(lease.thread in threads for lease in self.leases)

    @property
    def idle(self) -> bool:
        return self.state == "ready" and not self.leases and not self.kept


# All of this is read and written under the lock only. The garbage collector may end a forgotten
# lease in the midst of anything, under the lock, too: so what is given back goes through a queue
# that is safe for that, and whoever takes the lock next writes it down.
_state = threading.Condition(threading.Lock())
_places: dict[Key, _Place] = {}
_queue: list[_Waiter] = []
_given_back: SimpleQueue[tuple[_Place, _Lease]] = SimpleQueue()
_free_at_first: dict[str, int] = {}
_orders = iter(range(sys.maxsize))


# --- what others call ------------------------------------------------------------------


def load_backend(name: str) -> Backend:
    """Return the backend called ``name``; it is loaded once in a process, shared, and stays.

    Raises:
        UnknownName: no provider or no model is called so; the message names the nearest ones.
        MissingExtra: its packages are not installed.
        MissingModel: its weights are not here and not to be had.
        TooLarge: it does not fit into memory, alone or beside what stays there.
        BackendError: its weights cannot be loaded.
        Cancelled: nobody waits for it any more.
    """
    place, _ = _acquire(name, "keep", None)
    return _backend(place)


@contextmanager
def lease_backend(name: str, waiting: Waiting | None = None) -> Iterator[Backend]:
    """Keep the backend called ``name`` in memory for as long as the block runs.

    It may stay loaded afterwards, until others need the room. ``waiting`` is called with the names
    of the models that have to be given back first, whenever these change.

    Raises:
        UnknownName, MissingExtra, MissingModel, TooLarge, BackendError, Cancelled:
            as ``load_backend`` does.
    """
    with _leased(name, "lease", waiting) as backend:
        yield backend


@contextmanager
def hold_backend(name: str, waiting: Waiting | None = None) -> Iterator[Backend]:
    """Keep a backend for a batch: within the block, other threads lease it without waiting.

    Those who need its room wait until the batch is done.

    Raises:
        UnknownName, MissingExtra, MissingModel, TooLarge, BackendError, Cancelled:
            as ``load_backend`` does.
    """
    with _leased(name, "hold", waiting) as backend:
        yield backend


def waiting_for(name: str) -> list[str]:
    """Return the leased models that have to be given back before ``name`` can be loaded.

    Raises:
        BadInput: or one of its kinds: no backend is called so.
    """
    waiter = _waiter(name, "lease")
    with _locked():
        waiter.limit = _limit(waiter.footprint.device)
        return _blocking(waiter)


def loaded() -> list[LoadedModel]:
    """Return what is in memory, in the order in which it was loaded."""
    with _locked():
        return [
            LoadedModel(
                place.name,
                place.footprint.device,
                place.footprint.total,
                place.measured,
                len(place.leases),
                place.kept,
                place.since,
                place.used,
            )
            for place in _places.values()
            if place.state == "ready"
        ]


def memory_limit(device: str = "cpu") -> int:
    """Return the bytes that local models may take together on a device.

    WORKBENCH_MEMORY, or else what is free there and what those that are loaded gave up of it.
    """
    with _locked():
        return _limit(device)


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimate beside what there is: ``limit`` is what models may take of its device together.

    ``ways`` say what would fit where the model does not.
    """

    estimate: MemoryEstimate
    limit: int
    ways: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it fits once all other models are unloaded."""
        return self.estimate.total <= self.limit

    @property
    def verdict(self) -> str:
        """Say it in words."""
        if self.fits:
            return "fits"
        ways = "; ".join(self.ways[: memory.MOST_WAYS])
        return f"does not fit; would fit: {ways or 'nothing here'}"


def fit(estimate: MemoryEstimate) -> Fit:
    """Hold an estimate against this machine, as loading does."""
    limit = memory_limit(estimate.device)
    fits = estimate.total <= limit
    return Fit(estimate, limit, () if fits else tuple(memory.what_fits(estimate, limit)))


def unload(name: str) -> None:
    """Free what is loaded by this name; nothing happens where nothing is.

    What ``load_backend`` returned is ended in the midst of its answer.

    Raises:
        BadInput: somebody leases it. Wait for the answer, or stop it.
    """
    with _locked():
        place = _find(name)
        if place is None:
            return
        if place.leases:
            raise BadInput(
                f"{place.name} is answering.", "Wait until it is done, or stop it, then unload it."
            )
        place.state = "closing"
    _close([place])


def unload_all() -> None:
    """Free everything, and end what is being answered."""
    with _locked():
        places = [place for place in _places.values() if place.state == "ready"]
        for place in _places.values():
            place.state = "closing"  # what is still being loaded is closed by who loads it
    _close(places)


# --- who gets what ---------------------------------------------------------------------


@contextmanager
def _leased(name: str, use: Use, waiting: Waiting | None) -> Iterator[Backend]:
    place, lease = _acquire(name, use, waiting)
    try:
        yield _backend(place)
    finally:
        _give_back(place, lease)


def _acquire(name: str, use: Use, tell: Waiting | None) -> tuple[_Place, _Lease]:
    """Wait for room and load, or share what is loaded. The place is leased to this thread."""
    # First, as it imports PyTorch, which then says itself how it will hold the weights.
    make: Callable[[str, str], LoadedBackend] = BACKENDS.load(check_backend(name)[0])
    waiter = _waiter(name, use)
    told: list[str] = []
    with _locked():
        _queue.append(waiter)
    try:
        while True:
            with _locked():
                place, leaving = _try(waiter)
                if place is not None:
                    lease = _lease(place, waiter)
                    break
                blocking = [] if leaving else _blocking(waiter)
                if not leaving and blocking == told:
                    _state.wait(_POLL_SECONDS)
            _close(leaving)
            if tell is not None and blocking and blocking != told:
                tell(blocking)
            told = blocking
            if cancelled():
                raise Cancelled(f"Nobody waits for {name} any more.")
    finally:
        with _locked():
            _queue.remove(waiter)
            _state.notify_all()
    return (_load(place, make) if place.by is waiter else place), lease


def _waiter(name: str, use: Use) -> _Waiter:
    key = check_backend(name)
    with _locked():
        order, known = next(_orders), _places.get(key)
    estimate = known.by.estimate if known else memory.estimate_memory(name)
    footprint = memory.footprint(estimate, *key)
    return _Waiter(key, name, estimate, footprint, threading.get_ident(), use, order)


def _try(waiter: _Waiter) -> tuple[_Place | None, list[_Place]]:
    """Return the place that the waiter gets now, or those that it has to close before.

    Both are empty where it has to wait.

    Raises:
        TooLarge: waiting would never help.
    """
    place = _places.get(waiter.key)
    if place is not None:
        # One that comes or goes ends by itself.
        return (place if place.state == "ready" and _may_share(waiter, place) else None), []
    its_turn = _is_turn(waiter)
    if its_turn or waiter.limit is None:  # at once, and then again when it matters
        waiter.limit = _limit(waiter.footprint.device)
        _refuse_if_hopeless(waiter)
    leaving = _to_unload(waiter) if its_turn else None
    if leaving is None:
        return None, []
    for one in leaving:
        one.state = "closing"
    if leaving:
        return None, leaving
    place = _Place(waiter, next(_orders))
    _places[waiter.key] = place
    return place, []


def _lease(place: _Place, waiter: _Waiter) -> _Lease:
    lease = _Lease(waiter.thread, waiter.use)
    place.used = time.time()
    if waiter.use == "keep":
        place.kept = True
    else:
        place.leases.append(lease)
    return lease


def _may_share(waiter: _Waiter, place: _Place) -> bool:
    """Say whether a waiter gets what is loaded now.

    Whoever asked before it was loaded does. Later ones queue up, or those who wait for its room
    would wait forever.
    """
    patient = time.monotonic() - waiter.since > _PATIENCE_SECONDS
    return (
        waiter.order < place.order
        or place.held
        or _is_turn(waiter)
        or (patient and bool(place.leases))
    )


def _is_turn(waiter: _Waiter) -> bool:
    """Say whether nobody comes before this one who waits for room on the same device."""
    if not waiter.footprint.parts or _holds(waiter.thread):
        return True
    return not any(
        one.needs_room
        and one is not waiter
        and one.footprint.device == waiter.footprint.device
        and (_holds(one.thread) or one.order < waiter.order)
        for one in _queue
    )


def _to_unload(waiter: _Waiter) -> list[_Place] | None:
    """Return the idle places that have to go for the waiter; None where that is not enough."""
    device = waiter.footprint.device
    staying = [place for place in _places.values() if place.footprint.device == device]
    if _fits(waiter, staying):
        return []
    leaving: list[_Place] = []
    shared = waiter.footprint.parts.keys()
    idle = sorted((place for place in staying if place.idle), key=lambda place: place.used)
    # A base that the waiter itself stands on goes last: it would only be loaded again.
    idle.sort(key=lambda place: len(place.footprint.parts.keys() & shared) > 1)
    for place in idle:
        leaving.append(place)
        staying.remove(place)
        if _fits(waiter, staying):
            return leaving
    return None


def _fits(waiter: _Waiter, staying: Iterable[_Place]) -> bool:
    if not waiter.footprint.parts:
        return True
    device = waiter.footprint.device
    taken = together([*(place.footprint for place in staying), waiter.footprint], device)
    return taken <= (waiter.limit or 0)


def _refuse_if_hopeless(waiter: _Waiter) -> None:
    """Raise TooLarge where there would be no room though all who can gave back their leases."""
    limit = waiter.limit or 0
    if not _fits(waiter, []):
        raise memory.too_large(waiter.estimate, limit)
    needs = f"{waiter.name} needs {gib(waiter.footprint.total)} of memory"
    most = f"models may take {gib(limit)} together"
    kept = _on_device(waiter, (place for place in _places.values() if place.kept))
    if not _fits(waiter, kept):
        raise TooLarge(
            f"{needs} and does not fit beside what was loaded to stay"
            f" ({', '.join(place.name for place in kept)}): {most}.",
            f"Unload: workbench.unload('{kept[0].name}')",
        )
    if not _will_come(waiter):
        held = _on_device(waiter, (place for place in _places.values() if place.leases))
        raise TooLarge(
            f"{needs} and would wait forever: whoever uses"
            f" {' and '.join(place.name for place in held)} waits for it meanwhile, and {most}.",
            "Use one model after the other.",
        )


def _will_come(waiter: _Waiter) -> bool:
    """Say whether the waiter's turn comes, if all who do not wait give back what they lease.

    Those who wait keep what they hold until they get what they wait for; so each that can be
    served is, and gives back what it holds, until this one is served or nobody can be.
    """
    waiting = [one for one in _queue if one is not waiter and _holds(one.thread)] + [waiter]
    threads = {one.thread for one in waiting}
    while waiting:
        stuck = [place for place in _places.values() if place.kept or place.is_leased_by(threads)]
        served = [one for one in waiting if one.key in _places or _fits(one, stuck)]
        if waiter in served:
            return True
        if not served:
            return False
        waiting = [one for one in waiting if one not in served]
        threads = {one.thread for one in waiting}
    return False


def _holds(thread: int) -> bool:
    """Say whether a thread leases anything that takes memory."""
    places = _places.values()
    return any(place.is_leased_by((thread,)) and place.footprint.parts for place in places)


def _on_device(waiter: _Waiter, places: Iterable[_Place]) -> list[_Place]:
    device = waiter.footprint.device
    return [one for one in places if one.footprint.parts and one.footprint.device == device]


def _blocking(waiter: _Waiter) -> list[str]:
    """Name what has to be given back before the waiter can go ahead."""
    staying = _on_device(waiter, (place for place in _places.values() if not place.idle))
    if not waiter.needs_room or _fits(waiter, staying):
        return []
    return [place.name for place in staying if not place.is_leased_by((waiter.thread,))]


@contextmanager
def _locked() -> Iterator[None]:
    """Take the lock, and write down what was given back."""
    with _state:
        _write_down()
        yield


def _give_back(place: _Place, lease: _Lease) -> None:
    _given_back.put((place, lease))
    # It may be this very thread that has the lock: then it is written down a little later.
    if _state.acquire(timeout=_GIVE_UP_SECONDS):
        try:
            _write_down()
        finally:
            _state.release()


def _write_down() -> None:
    while True:
        try:
            place, lease = _given_back.get_nowait()
        except Empty:
            return
        place.leases.remove(lease)
        place.used = time.time()
        _state.notify_all()


# --- in and out ------------------------------------------------------------------------


def _load(place: _Place, make: Callable[[str, str], LoadedBackend]) -> _Place:
    """Fill a place that this thread has reserved."""
    device = place.footprint.device
    with _locked():
        alone = not any(one.state == "loading" and one is not place for one in _places.values())
    before = _taken(device) if place.footprint.parts else 0
    try:
        backend = make(place.by.key[1], place.name)
    except BaseException:
        with _locked():
            _forget(place)
        raise
    with _locked():
        alone &= not any(one.state == "loading" and one is not place for one in _places.values())
        grown = _taken(device) - before if alone and place.footprint.parts else 0
        place.measured = grown if grown > 0 else None
        place.backend = backend
        place.since = place.used = time.time()
        unloaded = place.state == "closing"
        if not unloaded:
            place.state = "ready"
        _state.notify_all()
    if unloaded:
        _close([place])
        raise _gone(place)
    return place


def _backend(place: _Place) -> Backend:
    backend = place.backend
    if backend is None:
        raise _gone(place)
    return backend


def _gone(place: _Place) -> BackendError:
    return BackendError(f"{place.name} was unloaded while it was loading.", "Load it again.")


def _close(places: list[_Place]) -> None:
    """Close what is marked as closing; only then is its room free."""
    for place in places:
        try:
            if place.backend is not None:
                place.backend.close()
        finally:
            with _locked():
                place.backend = None
                _forget(place)


def _forget(place: _Place) -> None:
    if _places.get(place.by.key) is place:
        del _places[place.by.key]
    _state.notify_all()


def _find(name: str) -> _Place | None:
    """Return the ready place of this name, or of another name of the same backend."""
    ready = [place for place in _places.values() if place.state == "ready"]
    found = next((place for place in ready if place.name == name), None)
    if found is not None or not ready:
        return found
    try:
        key = check_backend(name)
    except (WorkbenchError, OSError):
        return None
    return next((place for place in ready if place.by.key == key), None)


# --- how much there is -----------------------------------------------------------------


def _limit(device: str) -> int:
    """Return the bytes that models may take together: what is set, or what is free without them.

    What is free says too much while models are loaded, as mapped weights count as free, and too
    little, as the rest of them does not. So it is what was free when nothing was loaded, but no
    more than what is free now and would be once all were unloaded.
    """
    set_by_user = settings().memory
    if set_by_user is not None:
        return int(set_by_user * GIB)
    free = memory.free_memory(device)
    here = [one.footprint for one in _places.values() if one.footprint.parts]
    taken = together(here, device)
    if not taken:
        _free_at_first[device] = free
        return free
    return max(free, min(_free_at_first.get(device, free), free + taken))


def _taken(device: str) -> int:
    """Return the bytes that this process takes of the device; of RAM, with mapped files."""
    if not device.startswith("cuda"):
        return int(psutil.Process(os.getpid()).memory_info().rss)
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    return int(total - free)
