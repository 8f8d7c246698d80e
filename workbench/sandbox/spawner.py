"""Start jailed processes and watch them, in a small process of its own.

A process that has threads, a terminal and open files cannot safely fork and then confine the
child before it runs. So each workbench process has one spawner: a bare Python that has loaded
nothing else. For each order it forks a *supervisor*, which forks the program (or bubblewrap with
the program in it), watches what it takes, ends it and all that descends from it, tidies up, and
reports. It dies with the workbench, and all that it started with it.

An order is a JSON object and descriptors. The first descriptor is written to: one line with
``{"pid": N}`` once the program is there, and one that says how it ended. The second one's other
end is held by the workbench: what is written there is a reason to end the program now, and its
end (the workbench is gone) is one too. The others become the program's, as ``fds`` numbers them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workbench.sandbox import confine

LARGEST_ORDER = 1 << 20
_STATUS, _FILTER, _ERRORS = 60, 61, 62  # numbers in the child, above all that a program is given
_SOON, _LATER, _SETTLED = 0.01, 0.025, 0.5  # seconds between two looks, and when they get fewer
_LOOK_AT_FILES = 0.25
# A killed process still needs a core to end, and at nice 19 gets none for many seconds where others
# are busy: with 10, C++ answers came out as sandbox failures on such a machine.
_END_SECONDS = 60.0
_WALL_FACTOR = 100  # times the wall limit after which even what seems to compute is ended
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def serve(descriptor: int) -> None:
    """Take orders until the other side is gone."""
    confine.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    door = socket.socket(fileno=descriptor)
    while True:
        text, descriptors, _, _ = socket.recv_fds(door, LARGEST_ORDER, 64)
        if not text:
            os._exit(0)
        with contextlib.suppress(OSError):  # no process to be had: the report ends at once
            if os.fork() == 0:
                door.close()
                try:
                    _Supervisor(json.loads(text), descriptors).run()
                finally:
                    os._exit(0)
        for one in descriptors:
            os.close(one)
        _bury()


def _bury() -> None:
    """Reap what has ended: supervisors, and orphans of a supervisor that was killed."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


@dataclass(slots=True)
class _Usage:
    """What a tree of processes takes at one moment. CPU in seconds, memory in bytes."""

    cpu: float = 0.0
    memory: int = 0
    processes: int = 0
    threads: int = 0
    waits: bool = True


@dataclass(slots=True)
class _Supervisor:
    """Runs one program to its end."""

    order: dict[str, Any]
    descriptors: list[int]
    reason: str = ""
    started: bool = False
    error: str = ""
    code: int | None = None  # as wait(2) gives it
    main: int = 0
    peak: int = 0
    idle: float = 0.0
    began: float = field(default_factory=time.monotonic)
    seen: float = 0.0

    def run(self) -> None:
        report, life, *given = self.descriptors
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        confine.adopt_orphans()
        try:
            said = self._start(report, life, given)
            for one in given:
                os.close(one)
            self._watch(report, life, woken, said)
        except Exception as error:  # our own fault: it must be told from the program's
            self.error = self.error or f"the supervisor failed: {error!r}"
        self._end_all()
        self._tidy()
        _tell(report, self._result())

    # --- starting --------------------------------------------------------------------

    def _start(self, report: int, life: int, given: list[int]) -> int:
        """Fork the program; return the descriptor on which it says how its start went."""
        said, says = os.pipe()
        self.main = os.fork()
        if self.main == 0:
            try:
                os.close(report)
                os.close(life)
                self._become(given, says)
            finally:
                os._exit(127)
        os.close(says)
        os.set_blocking(said, False)
        return said

    def _become(self, given: list[int], says: int) -> None:
        """Turn the child into the program. Returns never, but by an error."""
        order = self.order
        errors = says
        try:
            signal.set_wakeup_fd(-1)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            confine.die_with_parent()
            os.setpgid(0, 0)
            wanted = {**dict(zip(order["fds"], given, strict=True)), _ERRORS: says}
            if order.get("filter") is not None:
                wanted |= {_STATUS: says, _FILTER: _filled(bytes.fromhex(order["filter"]))}
            # First out of the way, then to their places: no place is taken before it is empty.
            high = {place: fcntl.fcntl(wanted[place], fcntl.F_DUPFD, 100) for place in wanted}
            for place, one in high.items():
                os.dup2(one, place, inheritable=place != _ERRORS)
            errors = _ERRORS
            confine.enter({**order["policy"], "keep": list(wanted)})
            os.write(_ERRORS, b"confined\n")
            os.execvpe(order["argv"][0], order["argv"], order["environment"])
        except BaseException as error:
            os.write(errors, f"error {error}\n".encode()[:900])

    # --- watching --------------------------------------------------------------------

    def _watch(self, report: int, life: int, woken: int, said: int) -> None:
        limits = self.order["watch"]
        text = b""
        open_ends = [life, woken, said]
        looked = time.monotonic()
        while True:
            pause = None if limits is None else self._pause()
            ready, _, _ = select.select(open_ends, [], [], pause)
            if said in ready:
                part = _read(said)
                text += part
                if not part:
                    open_ends.remove(said)
                self._listen(report, text, not part)
            if life in ready:
                self.reason = _read(life).decode(errors="replace") or "killed"
            if woken in ready:
                _read(woken)
            if self._reap(os.WNOHANG) or self.reason:
                break
            if limits is not None:
                now = time.monotonic()
                self._look(limits, now - looked)
                looked = now
        self._end_all()
        while part := _read(said):
            text += part
        self._listen(report, text, True)

    def _pause(self) -> float:
        return _SOON if time.monotonic() - self.began < _SETTLED else _LATER

    def _listen(self, report: int, text: bytes, ended: bool) -> None:
        """Read what the start says: "confined", an error of ours, bubblewrap's documents."""
        lines = text.decode(errors="replace").splitlines(keepends=True)
        for line in lines:
            if line.startswith("error "):
                self.error = line.removeprefix("error ")
            elif line.startswith("{") and line.endswith("\n"):
                self._hear(report, json.loads(line))
        if ended and self.order.get("filter") is None and not self.error:
            if "confined\n" in lines:  # and then nothing: it has become the program
                self._hear(report, {"child-pid": self.main})
            else:
                self.error = "it ended before it was confined"

    def _hear(self, report: int, said: dict[str, Any]) -> None:
        if "child-pid" in said and not self.started:
            self.started = True
            _tell(report, {"pid": said["child-pid"]})
        if "exit-code" in said:
            self.code = _as_wait_status(said["exit-code"])

    def _look(self, limits: dict[str, Any], passed: float) -> None:
        """Compare what is taken with what may be; find a reason to end it."""
        usage = measure(os.getpid())
        usage.cpu += _reaped()
        self.peak = max(self.peak, usage.memory)
        if usage.waits and usage.cpu <= self.seen:
            # One look says little of a long time in which this supervisor itself had to wait.
            self.idle += min(passed, 4 * _LATER)
        self.seen = max(self.seen, usage.cpu)
        wall = time.monotonic() - self.began
        too_much = {
            "process limit": usage.processes > limits["processes"]
            or usage.threads > limits["threads"],
            "CPU limit": usage.cpu > limits["cpu"],
            "out of memory": usage.memory > limits["memory"],
            "wall limit": self.idle > limits["wall"] or wall > limits["wall"] * _WALL_FACTOR,
        }
        self.reason = next((name for name, is_so in too_much.items() if is_so), "")
        if limits["folders"] and wall // _LOOK_AT_FILES != (wall - passed) // _LOOK_AT_FILES:
            self._look_at_files(limits)

    def _look_at_files(self, limits: dict[str, Any]) -> None:
        if sum(size_of(folder) for folder in limits["folders"]) > limits["files"]:
            self.reason = self.reason or "file limit"

    # --- ending ----------------------------------------------------------------------

    def _reap(self, flags: int) -> bool:
        """Wait for what has ended; return whether the program has."""
        while True:
            try:
                pid, status = os.waitpid(-1, flags)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.main and not os.WIFSTOPPED(status):
                if self.order.get("filter") is None:
                    self.code = status
                elif self.code is None and os.WIFSIGNALED(status):
                    self.error = self.error or f"bubblewrap ended by signal {os.WTERMSIG(status)}"
                return True

    def _end_all(self) -> None:
        """Kill all that descends from here, and wait until none is left."""
        until = time.monotonic() + _END_SECONDS
        while time.monotonic() < until:
            family = list(descendants(os.getpid()))
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in family:
                    _signal(pid, number)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)
        self.error = self.error or "what it started could not be ended"

    def _tidy(self) -> None:
        for folder in self.order.get("make_executable", ()):
            make_executable(folder)
        for folder in self.order.get("remove", ()):
            remove(folder)

    def _result(self) -> dict[str, Any]:
        # A namespace that is brought down forgets what its processes took.
        cpu = max(_reaped(), self.seen)
        how, number = self._how(cpu)
        return {
            "how": how,
            "code": number,
            "detail": " ".join(self.error.split())[:500],
            "cpu": cpu,
            "wall": time.monotonic() - self.began,
            "memory": self.peak,
        }

    def _how(self, cpu: float) -> tuple[str, int | None]:
        if self.reason and not self.error:
            return self.reason, None
        if self.error or self.code is None:
            self.error = self.error or "it was never started"
            return "sandbox failure", None
        if not os.WIFSIGNALED(self.code):
            return "exited", os.WEXITSTATUS(self.code)
        number = os.WTERMSIG(self.code)
        limits = self.order["watch"]
        if number == signal.SIGXCPU or (
            number == signal.SIGKILL and limits and cpu >= limits["cpu"]
        ):
            return "CPU limit", number
        return ("file limit" if number == signal.SIGXFSZ else "signal"), number


# --- processes and files ---------------------------------------------------------------


def descendants(root: int) -> Iterator[int]:
    """Yield all processes that descend from one, parents before children."""
    waiting = [root]
    while waiting:
        for child in _children(waiting.pop()):
            yield child
            waiting.append(child)


def measure(root: int) -> _Usage:
    """Add up what the descendants of a process take, with those that they have waited for."""
    total = _Usage()
    for pid in descendants(root):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  (no pathlib in here)
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        # Fields of proc_pid_stat(5), counted from the state, which is the third.
        total.cpu += sum(map(int, fields[11:15])) / _TICKS
        total.memory += int(fields[21]) * _PAGE
        total.processes += fields[0] != b"Z"
        total.threads += int(fields[17])
        total.waits &= fields[0] not in b"RD" and not _computes(pid, int(fields[17]))
    return total


def _reaped() -> float:
    """Return the CPU seconds of the children that have been waited for, and of theirs."""
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took.ru_utime + took.ru_stime


def size_of(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    total = 0
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                total += size_of(entry.path)
            else:
                total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        pass  # it changes while we look
    return total


def make_executable(folder: str) -> None:
    """Let the owner execute all files in a folder, but not what links in it point to.

    No compiler can do it itself: it may not change the rights on files.
    """
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            make_executable(entry.path)
        elif entry.is_file(follow_symlinks=False):
            with contextlib.suppress(OSError):
                held = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
                os.fchmod(held, os.fstat(held).st_mode | 0o100)
                os.close(held)


def remove(folder: str) -> None:
    """Remove a folder and all in it, whatever the rights on it."""
    try:
        os.chmod(folder, 0o700)  # noqa: PTH101  (no pathlib in here)
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        pass


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def _computes(pid: int, threads: int) -> bool:
    """Return whether a thread other than the first one runs or waits for a processor."""
    if threads == 1:
        return False
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{task}/stat", "rb") as file:  # noqa: PTH123
                if file.read().rpartition(b")")[2].split()[0] in b"RD":
                    return True
    except OSError:
        pass
    return False


def _as_wait_status(code: int) -> int:
    """Turn bubblewrap's exit code, 128 and more for signals as in a shell, into a wait status."""
    return code - 128 if 128 < code <= 128 + 64 else code << 8


def _filled(data: bytes) -> int:
    end, start = os.pipe()
    os.write(start, data)
    os.close(start)
    return end


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


def _tell(report: int, document: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        os.write(report, json.dumps(document).encode() + b"\n")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
