"""Warm Python processes: one that forks candidates and one that forks checkers, per worker.

A fresh interpreter costs more than most programs that it would run. So each worker keeps two that
are loaded already, each in a sandbox of its own, and has them fork a confined child per program.
Neither of the two ever holds what its children work on: the host hands each child its job and its
pipes as open descriptors, and the parent only passes these on.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from workbench.errors import Cancelled, WorkbenchError
from workbench.sandbox.python_wire import HEADER
from workbench.sandbox.records import Limits
from workbench.sandbox.tiers import Tier

PACKAGES = ("numpy", "sortedcontainers")
"""Installed packages that programs may import. No others: a data set may be among them."""
TICK = 0.1
"""Seconds between two looks at whether anybody still waits."""
GRACE = 60.0
"""Seconds in which a parent has to tell of a child that was killed, before it is given up."""
FLAGS = ("-s", "-S", "-P", "-B", "-W", "ignore")
"""No site packages, no folder of the working place, no bytecode, no warnings."""
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""A fixed seed: the order of a set of strings is the same in every run."""
IDLE = 0.0005
"""The part of a core below which a program waits, rather than computes on a busy machine."""
FACTOR = 10
"""Times the wall limit after which even what computes is ended."""
CLOSING = 2.0
"""Seconds in which a program has to be gone that has closed its pipe."""
FIRST = 3
"""The first descriptor of a child's pipes."""
_BOOT = """
import json, socket, sys, types
control = socket.socket(fileno=0)
setup = json.loads(control.recv(1 << 20))
for name in ("workbench", "workbench.sandbox"):
    sys.modules[name] = types.ModuleType(name)
for name, source in setup["sources"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
    setattr(sys.modules["workbench.sandbox"], name.rpartition(".")[2], module)
module.run(control, setup)
"""


class Broken(WorkbenchError):
    """A warm process died, or does not answer."""


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: its exit code (negative: a signal), CPU seconds and peak memory.

    ``started`` is False where it ended before it was confined, so before it ran anything: then
    ``failure`` says why. ``over`` says that it was ended for its CPU time.
    """

    code: int
    cpu: float
    memory: int
    started: bool
    over: bool
    failure: str


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one program.

    ``verdict`` is what the checker said, None where it said nothing; ``answered``, whether it had
    by then what the candidate said. ``ended`` says that the candidate's process was gone by itself
    before it was ended. ``late``: the wall clock ran out.
    """

    verdict: dict[str, Any] | None
    candidate: End
    checker: End
    answered: bool
    ended: bool
    late: bool
    wall: float


def interpreter() -> Path:
    """Return the interpreter itself, past the links of a virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


@cache
def packages() -> dict[str, str]:
    """Return the folders of the installed packages that programs may import."""
    found = {}
    for name in PACKAGES:
        for top in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            folder = Path(top, name)
            if (folder / "__init__.py").is_file():
                found[name] = str(folder)
    return found


@cache
def readable() -> tuple[Path, ...]:
    """Return the folders that a warm process has to read."""
    found = [Path(sys.base_prefix).resolve(), interpreter()]
    for folder in map(Path, packages().values()):
        found += [one for one in (folder, folder.with_name(f"{folder.name}.libs")) if one.exists()]
    return tuple(found)


@cache
def _sources() -> list[tuple[str, str]]:
    """Return the modules that run inside, in the order in which they stand on each other."""
    names = (
        "confine",
        "values",
        "python_packages",
        "python_wire",
        "python_server",
        "python_checker",
        "python_parent",
    )
    home = files("workbench.sandbox")
    return [
        (f"workbench.sandbox.{name}", (home / f"{name}.py").read_text(encoding="utf-8"))
        for name in names
    ]


class Parent:
    """The host's end of one warm process."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        self._tier = tier
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {"sources": _sources(), "packages": packages()}
        command = [str(interpreter()), *FLAGS, "-c", _BOOT]
        try:
            self.process = tier.popen(
                command,
                folder=folder,
                limits=None,
                readable=readable(),
                environment=ENVIRONMENT,
                nests=True,
                stdin=theirs.fileno(),
            )
            self.send(setup)
        except BaseException:
            self.control.close()
            raise
        finally:
            theirs.close()

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message.

        Raises:
            Broken: the process is gone.
        """
        text = json.dumps(message).encode()
        try:
            if descriptors:
                socket.send_fds(self.control, [text], descriptors)
            else:
                self.control.send(text)
        except OSError as error:
            raise Broken(f"A warm Python process is gone ({error}).") from error

    def begin(self, role: str, limits: Limits, descriptors: tuple[int, ...]) -> None:
        """Have a child forked that plays a role; its job and its pipes are the descriptors.

        Raises:
            Broken: the process is gone.
        """
        keep = range(FIRST + len(descriptors) - 1)
        policy = self._tier.nested(limits, keep=keep, readable=readable())
        # Only a backstop: it counts ticks, and the parent looks at the clock itself.
        policy["limits"]["cpu"] = int(2 * limits.cpu_seconds) + 2
        self.send({"run": role, "cpu": limits.cpu_seconds, "policy": policy}, descriptors)

    def receive(self) -> End | float | None:
        """Return how the child ended, or its CPU seconds by now, None where it is not there yet.

        Raises:
            Broken: the process is gone, or does not answer.
        """
        self.control.settimeout(GRACE)
        try:
            text = self.control.recv(1 << 16)
        except OSError as error:
            raise Broken(f"A warm Python process does not answer ({error}).") from error
        if not text:
            raise Broken("A warm Python process is gone.")
        told = json.loads(text)
        return told["clock"] if "clock" in told else End(**told)

    def close(self) -> None:
        """End the process, with whatever it runs."""
        self.control.close()
        self.process.close()


class Pair:
    """The two warm processes of one worker. Of one thread at a time."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        self._tier = tier
        self._folder = folder
        self._parents: tuple[Parent, Parent] | None = None

    def run(
        self,
        candidate: dict[str, Any],
        checker: dict[str, Any],
        limits: Limits,
        stop: Callable[[], bool],
    ) -> Told:
        """Run a candidate's job against a checker's, from beginning to end.

        Raises:
            Broken: one of the processes died, or does not answer.
            Cancelled: ``stop()`` said so.
        """
        if self._parents is None:
            first = Parent(self._tier, self._folder)
            try:
                self._parents = first, Parent(self._tier, self._folder)
            except BaseException:
                first.close()
                raise
        try:
            return _Program(*self._parents, limits, stop).run(candidate, checker)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End both processes."""
        parents, self._parents = self._parents, None
        for parent in parents or ():
            parent.close()


class _Program:
    """One program on its way."""

    def __init__(
        self, candidate: Parent, checker: Parent, limits: Limits, stop: Callable[[], bool]
    ) -> None:
        self._candidate, self._checker = candidate, checker
        self._limits = limits
        self._stop = stop
        self._patience = _Patience(limits.wall_seconds)
        self._clocks: dict[Parent, float | None] = {}
        self._ends: dict[Parent, End] = {}

    def run(self, candidate: dict[str, Any], checker: dict[str, Any]) -> Told:
        """Start both children, wait for the verdict, end what is left."""
        says = self._begin(candidate, checker)
        begun = self._patience.begun
        try:
            said, late = self._wait(says)
        finally:
            os.close(says)
        answered = next((one["answered"] for one in reversed(said) if "answered" in one), False)
        verdict = said[-1] if said and "answered" not in said[-1] else None
        ended = self._candidate in self._ends or self._is_gone(verdict)
        for parent in (self._candidate, self._checker):
            if parent not in self._ends:
                parent.send({"end": True})
            while parent not in self._ends:
                self._hear(parent)
        wall = time.monotonic() - begun
        ends = self._ends
        candidate_end, checker_end = ends[self._candidate], ends[self._checker]
        return Told(verdict, candidate_end, checker_end, answered, ended, late, wall)

    def _begin(self, candidate: dict[str, Any], checker: dict[str, Any]) -> int:
        """Have both children forked, joined by pipes; return where the verdict will come."""
        calls, call = os.pipe()
        answers, answer = os.pipe()
        says, say = os.pipe()
        jobs = _written(candidate), _written(checker)
        try:
            self._candidate.begin("candidate", self._limits, (jobs[0], calls, answer))
            self._checker.begin("checker", wider(self._limits), (jobs[1], answers, call, say))
        except BaseException:
            os.close(says)
            raise
        finally:
            for descriptor in (calls, call, answers, answer, say, *jobs):
                os.close(descriptor)
        return says

    def _wait(self, says: int) -> tuple[list[dict[str, Any]], bool]:
        """Return all that the checker said until it ended; and whether that is late."""
        poll = select.poll()
        parents = {one.control.fileno(): one for one in (self._candidate, self._checker)}
        for descriptor in (says, *parents):
            poll.register(descriptor, select.POLLIN)
        text = b""
        while True:
            for descriptor, _ in poll.poll(TICK * 1000):
                if descriptor == says:
                    part = os.read(says, 1 << 16)
                    text += part
                    if not part:
                        return _frames(text), False
                else:
                    self._hear(parents[descriptor])
                    if parents[descriptor] in self._ends:
                        poll.unregister(descriptor)
            if self._stop():
                raise Cancelled("Grading was stopped.")
            if self._is_late():
                return _frames(text), True

    def _is_late(self) -> bool:
        """Say whether the wall clock has run out, and ask the parents how it stands."""
        if not self._patience.is_due():
            return False
        running = [one for one in (self._candidate, self._checker) if one not in self._ends]
        clocks = [self._clocks.get(one) for one in running]
        if self._patience.is_over(None if None in clocks else sum(filter(None, clocks))):
            return True
        for parent in running:
            parent.send({"look": True})
        return False

    def _hear(self, parent: Parent) -> None:
        """Take one message of a parent."""
        told = parent.receive()
        if isinstance(told, End):
            self._ends[parent] = told
        else:
            self._clocks[parent] = told

    def _is_gone(self, verdict: dict[str, Any] | None) -> bool:
        """Say whether the candidate's process ends by itself, once it has closed its pipe."""
        if verdict is None or verdict.get("failed") != "gone":
            return False
        until = time.monotonic() + CLOSING
        while self._candidate not in self._ends:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._candidate.control], [], [], left)[0]:
                return False
            self._hear(self._candidate)
        return True


class _Patience:
    """Counts the seconds in which a program waits and does not compute.

    So a machine that is busy with other things changes no verdict. What computes is ended by its
    CPU time, or after many times as long.
    """

    def __init__(self, seconds: float) -> None:
        self.begun = self._looked = time.monotonic()
        self._seconds = seconds
        self._every = min(1.0, seconds / 4)
        self._idle = 0.0
        self._used = 0.0

    def is_due(self) -> bool:
        """Say whether it is time for another look."""
        return time.monotonic() - self._looked > self._every

    def is_over(self, used: float | None) -> bool:
        """Say whether it has waited too long.

        ``used`` are the CPU seconds until now, None while a process is still to come.
        """
        now = time.monotonic()
        if used is not None and used - self._used < IDLE * (now - self._looked):
            self._idle += now - self._looked
        self._looked, self._used = now, used or self._used
        return self._idle > self._seconds or now - self.begun > FACTOR * self._seconds


def wider(limits: Limits) -> Limits:
    """Return the limits of a checker: it holds what the candidate holds, and both at once."""
    return replace(limits, cpu_seconds=2 * limits.cpu_seconds + 5, memory=2 * limits.memory)


def _written(job: dict[str, Any]) -> int:
    """Return an open file that holds a job and has no name."""
    text = json.dumps(job).encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("job")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(text)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _frames(text: bytes) -> list[dict[str, Any]]:
    """Return the messages of all frames that are whole."""
    found, start = [], 0
    while start + HEADER.size <= len(text):
        end = start + HEADER.size + HEADER.unpack_from(text, start)[0]
        if end > len(text):
            break
        found.append(json.loads(text[start + HEADER.size : end]))
        start = end
    return found
