"""A warm Python that forks one confined child per program, and does nothing else.

It stands alone, as it runs inside a sandbox of its own. There is one for candidates and one for
checkers; neither reads what its children work on, so that nothing of one program is left in the
memory that the next one is born with.

The host speaks to it on descriptor 0, a socket that keeps messages whole. ``{"run": ROLE, "cpu":
SECONDS, "policy": ...}`` comes with the descriptors of the child; it is answered once, when the
child is gone. ``{"end": true}`` kills what is left of it, and ``{"look": true}`` asks what it has
used by now. CPU time is read from the child's own clock: RLIMIT_CPU counts ticks, which come to
far more than the seconds where processes compete for a core.
"""

from __future__ import annotations

import gc
import importlib
import json
import mmap
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from workbench.sandbox import confine, python_checker, python_packages, python_server

PRELOADED = (
    *("abc", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections"),
    *("collections.abc", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum"),
    *("fractions", "functools", "hashlib", "heapq", "io", "itertools", "json", "math", "numbers"),
    *("operator", "queue", "random", "re", "statistics", "string", "struct", "textwrap"),
    *("threading", "time", "types", "typing", "unicodedata"),
)
"""Modules that programs often import: loaded once, here."""
ROLES: dict[str, Callable[[dict[str, Any]], None]] = {
    "candidate": python_server.serve,
    "checker": python_checker.check,
}
LOOK = 0.25
"""Seconds, at most, between two looks at a child's clock."""
STARTED, TOLD = 1, 512
"""What the first byte of the shared page says, and how long the page's text may be."""
FIRST = 3
"""The first descriptor of those that a child is given."""


def run(control: socket.socket, setup: dict[str, Any]) -> None:
    """Fork children as the host asks for them, until it is gone.

    ``setup`` has ``packages`` (name -> folder of packages that programs may import).
    """
    for name in PRELOADED:
        importlib.import_module(name)
    python_packages.allow(setup["packages"])
    for name in [name for name in sys.modules if name.split(".")[0] == "workbench"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()
    Parent(control).run()


class Parent:
    """Forks one child at a time, and tells what it took."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._child = 0
        self._limit = 0.0
        self._is_over = False
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the host hangs up."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._patience())}
            if self._woken in ready:
                os.read(self._woken, 512)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                self._kill()
                return

    def _obey(self) -> bool:
        """Do what one message asks for; False where the host is gone."""
        text, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 8)
        if not text:
            return False
        order = json.loads(text)
        if "end" in order:
            self._kill()
        elif "look" in order:
            if self._child:
                clock = (self._clock() or 0.0) if self._page[0] == STARTED else None
                self._control.send(json.dumps({"clock": clock}).encode())
        else:
            self._fork(order, descriptors)
        return True

    def _fork(self, order: dict[str, Any], descriptors: list[int]) -> None:
        self._page[:TOLD] = bytes(TOLD)
        self._limit, self._is_over = order["cpu"], False
        self._child = confine.new_process(order["policy"])
        if self._child == 0:
            try:
                be_child(order, descriptors, self._page)
            except BaseException as error:
                if not self._page.closed:
                    text = f"{type(error).__name__}: {error}".encode()[: TOLD - 1]
                    self._page[1 : 1 + len(text)] = text
            finally:
                os._exit(70)
        for descriptor in descriptors:
            os.close(descriptor)

    def _patience(self) -> float | None:
        """Return the milliseconds until the child's clock is due; kill it where it is over.

        Its threads may run on several cores at once, so it is looked at before it can be due.
        """
        if not self._child or self._is_over:
            return None
        used = self._clock()
        if used is None:
            return None
        self._is_over = used > self._limit
        if self._is_over:
            self._kill()
            return None
        return 1000 * min(LOOK, self._limit - used + 0.001)

    def _clock(self) -> float | None:
        """Return the CPU seconds that the child has used; None where it has just ended."""
        try:  # the macro CPUCLOCK_SCHED of linux/posix-timers.h
            return time.clock_gettime((~self._child << 3) | 2)
        except OSError:
            return None

    def _kill(self) -> None:
        if self._child:
            os.kill(self._child, signal.SIGKILL)

    def _reap(self) -> None:
        """Tell of a child that has ended."""
        if not self._child:
            return
        found, status, usage = os.wait4(self._child, os.WNOHANG)
        if not found:
            return
        self._child = 0
        told = {
            "code": os.waitstatus_to_exitcode(status),
            "cpu": usage.ru_utime + usage.ru_stime,
            "over": self._is_over,
            "started": self._page[0] == STARTED,
            "failure": self._page[1:TOLD].rstrip(b"\0").decode("utf-8", "replace"),
            "memory": usage.ru_maxrss * 1024,
        }
        self._control.send(json.dumps(told).encode())


def be_child(order: dict[str, Any], descriptors: list[int], page: mmap.mmap) -> None:
    """Become the process of one program: read its job, and play its role.

    The first of the descriptors holds the job; the others become 3, 4, ... in their order. What
    fails before ``page`` is written and gone is our failure, what fails later the program's.
    """
    os.setsid()  # or a signal to its process group would reach us, out of any namespace
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with os.fdopen(descriptors[0], "rb") as file:
        job = json.load(file)
    _take(descriptors[1:])
    confine.enter(order["policy"])
    page[0] = STARTED
    page.close()
    random.seed(0)
    ROLES[order["run"]](job)
    os._exit(0)


def _take(descriptors: list[int]) -> None:
    """Move descriptors to 3, 4, ... and tie 0, 1 and 2 to nothing."""
    high = [os.dup2(one, 100 + number) for number, one in enumerate(descriptors)]
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for number, one in enumerate(high):
        os.dup2(one, FIRST + number)
