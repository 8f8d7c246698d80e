"""A process in a sandbox, as the workbench holds it: its pipes, its end, and how to end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self, get_args

from workbench.errors import WorkbenchError

How = Literal[
    "exited",
    "signal",
    "CPU limit",
    "wall limit",
    "out of memory",
    "process limit",
    "file limit",
    "output limit",
    "killed",
    "sandbox failure",
]
HOWS: tuple[How, ...] = get_args(How)

_BOOT = """
import sys, types
for name, folder in zip(("workbench", "workbench.sandbox"), sys.argv[2:]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from workbench.sandbox import spawner
spawner.serve(int(sys.argv[1]))
"""


class NoSandbox(WorkbenchError):
    """Nothing here can confine a program, so none was run."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended. ``how`` "sandbox failure" is ours: the program is not to blame.

    ``code`` is the exit code ("exited") or the signal's number ("signal"), else None. Inside
    bubblewrap an exit code of 129 to 192 counts as a signal, as in a shell. ``cpu_seconds`` are
    those of all its processes, ``memory_peak`` the most bytes that were seen in use at a time.
    """

    how: How
    code: int | None
    detail: str
    cpu_seconds: float
    wall_seconds: float
    memory_peak: int

    @property
    def succeeded(self) -> bool:
        """Whether it came to its own end with exit code 0."""
        return self.how == "exited" and self.code == 0


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended, and what it printed (as far as that was allowed)."""

    end: End
    stdout: bytes
    stderr: bytes


class Jailed:
    """A running process in a sandbox. Close it (or use ``with``): then nothing of it is left.

    ``stdin``, ``stdout`` and ``stderr`` are unbuffered binary files where they were asked for
    with PIPE, else None. Its methods may be called from several threads.
    """

    def __init__(
        self,
        report: int,
        life: int,
        pipes: Mapping[int, IO[bytes]],
        output: int,
        own: Sequence[str] = (),
    ) -> None:
        self.stdin = pipes.get(0)
        self.stdout = pipes.get(1)
        self.stderr = pipes.get(2)
        self._report = report
        self._life: int | None = life
        self._output = output
        self._own = own
        self._text = b""
        self._pid: int | None = None
        self._why: How | None = None
        self._end: End | None = None
        self._reading = threading.Lock()
        self._ending = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_end", True) is None:
            with contextlib.suppress(Exception):
                self.close()

    @property
    def pid(self) -> int | None:
        """The process id on this machine of the program, or of what it runs in; None: unknown."""
        while self._pid is None and self._end is None and self._listen(None):
            pass
        return self._pid

    def poll(self) -> End | None:
        """Return how it ended, None while it runs."""
        while self._end is None and self._listen(0):
            pass
        return self._end

    def wait(self, timeout: float | None = None) -> End:
        """Wait for its end.

        Raises:
            TimeoutError: it still runs after ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._end is None:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not self._listen(left) and self._end is None:
                raise TimeoutError("the program still runs")
        return self._end

    def kill(self, how: How = "killed") -> None:
        """End it and all that it started; ``wait`` says ``how`` then."""
        with self._ending:
            if self._life is not None:
                with contextlib.suppress(OSError):
                    os.write(self._life, how.encode())
                os.close(self._life)
                self._life = None

    def close(self) -> None:
        """End it if it still runs, wait until it is gone, and close the pipes."""
        if self._end is None:
            self.kill()
            self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def communicate(self, stdin: bytes = b"") -> Finished:
        """Write the input, read all output up to the limit, and wait for the end.

        Once stdout and stderr together exceed the limit, the process is ended ("output limit"),
        and what comes after is dropped.
        """
        got: dict[IO[bytes], bytearray] = {
            pipe: bytearray() for pipe in (self.stdout, self.stderr) if pipe is not None
        }
        left = memoryview(stdin)
        with selectors.DefaultSelector() as selector:
            for pipe in got:
                selector.register(pipe, selectors.EVENT_READ)
            if self.stdin is not None:
                os.set_blocking(self.stdin.fileno(), False)
                selector.register(self.stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                for key, _ in selector.select():
                    pipe = key.fileobj  # type: ignore[assignment]
                    if pipe in got:
                        done = self._take(pipe, got)
                    else:
                        left = self._give(pipe, left)
                        done = not left
                    if done:
                        selector.unregister(pipe)
                        pipe.close()
        end = self.wait()
        printed = [bytes(got[pipe]) if pipe else b"" for pipe in (self.stdout, self.stderr)]
        return Finished(end, *printed)

    def _take(self, pipe: IO[bytes], got: dict[IO[bytes], bytearray]) -> bool:
        part = os.read(pipe.fileno(), 1 << 16)
        room = self._output - sum(map(len, got.values()))
        got[pipe] += part[:room]
        if len(part) > room:
            self.kill("output limit")
        return not part

    def _give(self, pipe: IO[bytes], left: memoryview) -> memoryview:
        try:
            return left[os.write(pipe.fileno(), left[: 1 << 16]) :]
        except BlockingIOError:
            return left
        except OSError:
            return left[:0]  # it does not read on: its own affair

    def _listen(self, timeout: float | None) -> bool:
        """Read one piece of the supervisor's report; return False where none came in time."""
        with self._reading:
            if self._end is not None:
                return True
            poller = select.poll()
            poller.register(self._report, select.POLLIN)
            if not poller.poll(None if timeout is None else timeout * 1000):
                return False
            part = os.read(self._report, 1 << 16)
            self._text += part
            while b"\n" in self._text:
                line, _, self._text = self._text.partition(b"\n")
                self._hear(json.loads(line))
            if not part and self._end is None:
                for folder in self._own:  # what it would have removed
                    shutil.rmtree(folder, ignore_errors=True)
                self._hear({"how": "sandbox failure", "detail": "its supervisor is gone"})
            return True

    def _hear(self, said: dict[str, Any]) -> None:
        if "pid" in said:
            self._pid = said["pid"]
            return
        os.close(self._report)
        with self._ending:
            if self._life is not None:
                os.close(self._life)
                self._life = None
        self._end = End(
            said["how"],
            said.get("code"),
            said.get("detail", ""),
            said.get("cpu", 0.0),
            said.get("wall", 0.0),
            said.get("memory", 0),
        )


class Spawner:
    """The one process that starts all others; see ``workbench.sandbox.spawner``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._door: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def start(
        self,
        order: Mapping[str, Any],
        descriptors: Mapping[int, int],
        output: int,
    ) -> Jailed:
        """Start what an order says, with descriptors: its number -> ours, or PIPE or DEVNULL.

        Raises:
            NoSandbox: the spawner does not run.
        """
        theirs: list[int] = []
        pipes: dict[int, IO[bytes]] = {}
        to_close: list[int] = []
        try:
            report, says = os.pipe()
            to_close.append(says)
            life, alive = os.pipe()
            to_close.append(life)
            for number, ours in descriptors.items():
                theirs.append(_open(number, ours, pipes, to_close))
            text = json.dumps({**order, "fds": list(descriptors)}).encode()
            self._send(text, [says, life, *theirs])
            return Jailed(report, alive, pipes, output, order.get("remove", ()))
        finally:
            for one in to_close:
                os.close(one)

    def _send(self, text: bytes, descriptors: list[int]) -> None:
        with self._lock:
            for _ in range(2):
                door = self._open_door()
                try:
                    socket.send_fds(door, [text], descriptors)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    self._door = None
                except OSError as error:
                    raise NoSandbox(f"The sandbox cannot be told what to run ({error}).") from error
        raise NoSandbox("The process that starts sandboxed programs ends at once.")

    def _open_door(self) -> socket.socket:
        if self._door is None or self._owner != os.getpid():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            here = Path(__file__).parent
            call = [sys.executable, "-I", "-S", "-c", _BOOT]
            self._process = subprocess.Popen(
                [*call, str(theirs.fileno()), str(here.parent), str(here)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={},
                process_group=0,  # Ctrl-C is the workbench's to answer
            )
            theirs.close()
            self._door, self._owner = ours, os.getpid()
        return self._door


def _open(number: int, ours: int, pipes: dict[int, IO[bytes]], to_close: list[int]) -> int:
    """Return the descriptor to hand over; keep our end of a new pipe in ``pipes``."""
    if ours == subprocess.DEVNULL:
        to_close.append(os.open(os.devnull, os.O_RDWR))
        return to_close[-1]
    if ours != subprocess.PIPE:
        return ours
    reads, writes = os.pipe()
    theirs, mine = (reads, writes) if number == 0 else (writes, reads)
    to_close.append(theirs)
    pipes[number] = os.fdopen(mine, "wb" if number == 0 else "rb", buffering=0)
    return theirs


SPAWNER = Spawner()
