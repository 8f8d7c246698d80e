"""What is in memory never takes more than there is; nobody starves, hangs, or is unloaded unheard.

The provider ``fake`` is registered for these tests: ``fake/NAME-4`` takes 4 GiB, and
``fake/NAME-4+lora=X`` is one more GiB on top of the same base.
"""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import pytest

from workbench.backends import (
    hold_backend,
    lease_backend,
    load_backend,
    loaded,
    loading,
    memory,
    menu,
    unload,
    unload_all,
    waiting_for,
)
from workbench.cancel import cancelled_by
from workbench.errors import BackendError, BadInput, Cancelled, TooLarge, UnknownName
from workbench.registry import Entry
from workbench.types import Completion

GIB = memory.GIB
LIMIT = 5


class Fake:
    """Takes as many GiB as its name says, from the first line of its making to its close."""

    alive: ClassVar[Counter[str]] = Counter()
    made: ClassVar[list[str]] = []
    most = 0
    slow = 0.0
    guard = threading.Lock()

    def __init__(self, resolved, name):
        self.parts = parts_of(resolved)
        with self.guard:
            self.alive.update(self.parts.keys())
            taken = sum(gib_of(part) for part, count in self.alive.items() if count)
            Fake.most = max(Fake.most, taken)
            self.made.append(name)
        time.sleep(self.slow)
        self.name, self.closed = name, False
        if "broken" in name:
            self.close()
            raise BackendError(f"{name} is damaged.")

    def stream(self, prompt, params):
        assert not self.closed
        yield Completion("", 0, 0, 0.0, None, "stop", self.name)

    def close(self):
        self.closed = True
        with self.guard:
            self.alive.subtract(self.parts.keys())


def parts_of(model):
    base, _, adapter = model.partition("+lora=")
    return {base: gib_of(base)} | ({model: 1} if adapter else {})


def gib_of(part):
    return 1 if "+lora=" in part else int(part.rpartition("-")[2])


@pytest.fixture(autouse=True)
def fake(monkeypatch) -> Iterator[type[Fake]]:
    unload_all()
    entry = Entry("fake", "test_loading:Fake", "takes what it says")
    monkeypatch.setitem(menu.BACKENDS._entries, "fake", entry)
    monkeypatch.setitem(menu._CHECKS, "fake", lambda model: model)
    known = memory.estimate_memory

    def estimate(name, **options):
        provider, _, model = name.partition("/")
        if provider != "fake":
            return known(name, **options)
        size = sum(parts_of(model).values()) * GIB
        return memory.MemoryEstimate(name, "cpu", "", 1, 1024, 1, size, 0, 0, 0)

    def footprint(needed, provider, model):
        sizes = {part: size * GIB for part, size in parts_of(model).items()}
        return memory.Footprint("cpu" if provider == "fake" else "elsewhere", sizes)

    parted = memory.footprint
    monkeypatch.setattr(memory, "estimate_memory", estimate)
    monkeypatch.setattr(
        memory,
        "footprint",
        lambda needed, *key: (footprint if key[0] == "fake" else parted)(needed, *key),
    )
    monkeypatch.setenv("WORKBENCH_MEMORY", str(LIMIT))
    Fake.alive.clear()
    Fake.made.clear()
    Fake.most, Fake.slow = 0, 0.0
    too_long = threading.Event()  # so that what hangs fails
    timer = threading.Timer(20, too_long.set)
    timer.start()
    with cancelled_by(too_long):
        yield Fake
    timer.cancel()
    unload_all()


def names():
    return [one.name for one in loaded()]


class Worker:
    """A thread that leases what it is told, one inside the other, and gives back when told."""

    def __init__(self, *wanted, pause=None):
        self.wanted, self.pause = wanted, pause
        self.has: list[str] = []
        self.told: list[list[str]] = []
        self.error: BaseException | None = None
        self.go_on, self.cancel = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        try:
            with contextlib.ExitStack() as stack, cancelled_by(self.cancel):
                for number, name in enumerate(self.wanted):
                    if number and self.pause:
                        self.pause.wait(10)
                    stack.enter_context(lease_backend(name, self.told.append))
                    self.has.append(name)
                self.go_on.wait(10)
        except BaseException as error:
            self.error = error

    def until(self, count=1):
        wait_for(lambda: len(self.has) >= count or self.error)
        return self

    def end(self):
        self.go_on.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def wait_for(ready, seconds=5.0):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def settle():
    """Give those who should have to wait the time to do it wrong."""
    time.sleep(0.15)


# --- never more than there is ----------------------------------------------------------


def test_sixteen_threads_never_load_more_than_the_limit_and_all_are_served(fake):
    wanted = ["a-1", "b-2", "c-3", "d-4", "e-5", "e-5", "f-2", "f-2+lora=x", "f-2+lora=y"]
    served: Counter[int] = Counter()

    def work(number):
        choose = random.Random(number)
        for _ in range(25):
            with lease_backend(f"fake/{choose.choice(wanted)}") as backend:
                list(backend.stream(None, None))
                if choose.random() < 0.3:
                    time.sleep(0.002)
                assert not backend.closed
            served[number] += 1

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)

    assert served == Counter(dict.fromkeys(range(16), 25))
    assert 0 < fake.most <= LIMIT
    assert sum(one.leased for one in loaded()) == 0


def test_what_does_not_fit_is_refused_before_it_is_loaded(fake):
    with pytest.raises(TooLarge, match=r"fake/huge-9 needs 9\.0 GiB .* 5\.0 GiB are free"):
        load_backend("fake/huge-9")
    with pytest.raises(TooLarge, match=r"What would fit: .*llama-cpp/smollm2-135m"):
        lease_backend("fake/huge-9").__enter__()

    assert fake.made == [] and loaded() == []


def test_models_that_do_not_fit_together_follow_each_other(fake):
    for name in ("fake/a-3", "fake/b-3", "fake/a-3"):
        with lease_backend(name) as backend:
            assert names() == [name] and not backend.closed

    assert fake.made == ["fake/a-3", "fake/b-3", "fake/a-3"]


def test_a_backend_stays_for_the_next_lease_where_there_is_room(fake):
    for name in ("fake/a-2", "fake/b-3", "fake/a-2"):
        with lease_backend(name):
            pass

    assert fake.made == ["fake/a-2", "fake/b-3"] == names()


def test_the_least_recently_used_goes_first(fake):
    for name in ("fake/a-2", "fake/b-2", "fake/a-2", "fake/c-1"):
        with lease_backend(name):
            time.sleep(0.002)
    with lease_backend("fake/d-2"):
        assert names() == ["fake/a-2", "fake/c-1", "fake/d-2"]


def test_adapters_on_one_base_count_it_once(fake):
    with (
        lease_backend("fake/base-3"),
        lease_backend("fake/base-3+lora=x"),
        lease_backend("fake/base-3+lora=y"),
    ):
        assert len(loaded()) == 3 and fake.most == 5
        with pytest.raises(TooLarge):
            lease_backend("fake/base-3+lora=z").__enter__()


def test_a_base_stays_while_another_adapter_on_it_is_loaded(fake):
    for name in ("fake/other-1", "fake/base-3", "fake/base-3+lora=x"):
        with lease_backend(name):
            time.sleep(0.002)
    with lease_backend("fake/base-3+lora=y"):
        assert "fake/base-3" in names() and "fake/other-1" not in names()


def test_hosted_backends_take_no_memory_and_never_wait(fake):
    worker = Worker("fake/a-5").until()
    waiting = Worker("fake/b-5")
    settle()

    with lease_backend("retrieval"):
        assert waiting_for("retrieval") == []
    waiting.cancel.set()
    worker.end()
    waiting.end()


def test_what_failed_to_load_gives_its_room_back(fake):
    for _ in range(2):
        with pytest.raises(BackendError, match="damaged"):
            load_backend("fake/broken-4")
    with lease_backend("fake/fine-5"):
        assert names() == ["fake/fine-5"]


# --- waiting ---------------------------------------------------------------------------


def test_who_finds_no_room_waits_and_says_for_whom(fake):
    first = Worker("fake/a-3").until()
    second = Worker("fake/b-3")
    wait_for(lambda: second.told)
    assert second.told == [["fake/a-3"]] and waiting_for("fake/b-3") == ["fake/a-3"]
    assert names() == ["fake/a-3"]

    first.end()
    second.until().end()
    assert second.error is None and fake.most == 3


def test_waiting_ends_when_nobody_waits_any_more():
    first = Worker("fake/a-3").until()
    second = Worker("fake/b-3")
    wait_for(lambda: second.told)
    second.cancel.set()
    start = time.monotonic()
    second.thread.join(5)

    assert time.monotonic() - start < 1 and isinstance(second.error, Cancelled)
    first.end()


def test_first_come_first_served_so_that_small_ones_never_starve_a_large_one():
    first = Worker("fake/small-3").until()
    large = Worker("fake/large-5")
    wait_for(lambda: large.told)
    late = [Worker("fake/late-2"), Worker("fake/small-3")]
    settle()
    assert [one.has for one in late] == [[], []], "both would fit, but they came later"

    first.end()
    large.until()
    assert large.has and not late[0].has and not late[1].has
    large.end()
    for one in late:
        one.until().end()
        assert one.error is None


def test_those_who_asked_before_a_model_was_loaded_share_it(fake):
    fake.slow = 0.05
    workers = [Worker("fake/a-4") for _ in range(4)]
    for worker in workers:
        worker.until()
    assert [one.leased for one in loaded()] == [4] and fake.made == ["fake/a-4"]
    for worker in workers:
        worker.end()


def test_what_a_batch_holds_is_shared_at_once_though_others_wait_for_its_room():
    with hold_backend("fake/a-3"):
        other = Worker("fake/b-3")
        wait_for(lambda: other.told)
        for _ in range(3):  # the batch's own threads
            Worker("fake/a-3").until().end()
        assert not other.has
    other.until().end()
    assert other.error is None


def test_a_lease_that_another_thread_took_for_one_is_shared_in_the_end(monkeypatch):
    monkeypatch.setattr(loading, "_PATIENCE_SECONDS", 0.3)
    with lease_backend("fake/a-3"):
        other = Worker("fake/b-3")
        wait_for(lambda: other.told)
        late = Worker("fake/a-3")
        settle()
        assert not late.has
        late.until().end()
        assert late.error is None and not other.has
    other.until().end()


# --- never a deadlock ------------------------------------------------------------------


def test_a_second_lease_that_can_never_fit_beside_the_first_is_refused():
    with lease_backend("fake/a-3"):
        with pytest.raises(TooLarge, match="would wait forever"):
            lease_backend("fake/b-3").__enter__()
        with lease_backend("fake/c-2"), lease_backend("fake/a-3"):
            assert names() == ["fake/a-3", "fake/c-2"]


def test_of_threads_that_wait_for_each_other_the_one_that_closes_the_circle_is_refused():
    both_hold = threading.Event()
    one = Worker("fake/a-2", "fake/c-3", pause=both_hold).until()
    other = Worker("fake/b-2", "fake/d-3", pause=both_hold).until()
    both_hold.set()
    wait_for(lambda: one.error or other.error)
    refused, served = (one, other) if one.error else (other, one)
    served.until(2)

    assert isinstance(refused.error, TooLarge) and served.error is None
    served.end()


def test_who_holds_a_lease_comes_before_those_who_hold_none():
    both = threading.Event()
    holder = Worker("fake/a-2", "fake/c-2", pause=both).until()
    large = Worker("fake/large-5")
    wait_for(lambda: large.told)
    both.set()
    holder.until(2)

    assert holder.has == ["fake/a-2", "fake/c-2"] and not large.has
    holder.end()
    large.until().end()
    assert large.error is None


# --- keeping and unloading -------------------------------------------------------------


def test_what_was_loaded_to_stay_stays_and_who_has_no_room_beside_it_is_told():
    kept = load_backend("fake/kept-3")
    with pytest.raises(TooLarge, match=r"fake/kept-3.*Unload: workbench\.unload\('fake/kept-3'\)"):
        lease_backend("fake/b-3").__enter__()
    assert not kept.closed

    unload("fake/kept-3")
    with lease_backend("fake/b-3"):
        assert kept.closed


def test_what_is_leased_is_not_unloaded_but_unload_all_ends_everything():
    worker = Worker("fake/a-3").until()
    with pytest.raises(BadInput, match="is answering"):
        unload("fake/a-3")
    backend = loading._places["fake", "a-3"].backend

    unload_all()
    assert backend.closed and loaded() == []
    worker.end()
    assert worker.error is None


def test_unloading_all_while_something_loads_leaves_nothing_behind(fake):
    fake.slow = 0.2
    worker = Worker("fake/a-3")
    wait_for(lambda: fake.made)
    unload_all()
    worker.end()

    assert isinstance(worker.error, BackendError) and loaded() == []
    assert not any(fake.alive.values())


def test_a_forgotten_lease_is_given_back_by_the_garbage_collector():
    def answers():
        with lease_backend("fake/a-3") as backend:
            yield backend

    stream = answers()
    next(stream)
    assert [one.leased for one in loaded()] == [1]
    del stream
    gc.collect()
    assert [one.leased for one in loaded()] == [0]


def test_what_is_in_memory_says_since_when_and_who_uses_it():
    before = time.time()
    load_backend("fake/kept-1")
    worker = Worker("fake/a-3").until()

    kept, leased = loaded()
    assert (kept.name, kept.kept, kept.leased, kept.bytes) == ("fake/kept-1", True, 0, GIB)
    assert (leased.name, leased.kept, leased.leased) == ("fake/a-3", False, 1)
    assert before <= kept.since <= kept.last_used <= leased.last_used <= time.time()
    worker.end()


def test_an_unknown_name_is_told_before_anybody_waits():
    with pytest.raises(UnknownName):
        lease_backend("nobody/x").__enter__()
    assert loading._queue == []


def test_without_a_set_limit_it_is_what_is_free_and_what_was_taken(monkeypatch):
    monkeypatch.delenv("WORKBENCH_MEMORY")
    free = 6 * GIB
    monkeypatch.setattr(memory, "free_memory", lambda device="cpu": free)
    assert loading.memory_limit() == 6 * GIB
    with lease_backend("fake/a-3"):
        free = 5 * GIB  # mapped weights count as free
        assert loading.memory_limit() == 6 * GIB
        free = 3 * GIB
        assert loading.memory_limit() == 6 * GIB
        free = 1 * GIB  # somebody else took the rest
        assert loading.memory_limit() == 4 * GIB
        with pytest.raises(TooLarge):
            lease_backend("fake/b-3").__enter__()
