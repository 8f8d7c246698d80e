"""Pipes to several processes at once, read and written without ever waiting for one of them.

Whoever talks to an untrusted process may neither block on writing, as it may not read, nor on
reading, as it may not write, nor keep all that it prints.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

from workbench.errors import Cancelled

TICK = 0.1
"""Seconds between two looks at whether anybody still waits."""
HEAD = struct.Struct(">I")


class Kept:
    """What came through a pipe: its first ``limit`` bytes, and how many there were."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.total = 0
        self.ended = False
        self._limit = limit

    @property
    def is_over(self) -> bool:
        """Whether more came than is kept."""
        return self.total > self._limit

    @property
    def text(self) -> str:
        """What is kept; bytes that are no UTF-8 survive."""
        return self.data.decode("utf-8", "surrogateescape")

    def add(self, part: bytes) -> None:
        """Take what was read; nothing means the end."""
        self.ended = self.ended or not part
        self.total += len(part)
        self.data += part[: max(0, self._limit - len(self.data))]

    def take_frame(self) -> bytes | None:
        """Take the first frame off, None where it is not whole."""
        if len(self.data) < HEAD.size:
            return None
        end = HEAD.size + HEAD.unpack_from(self.data)[0]
        if len(self.data) < end:
            return None
        frame = bytes(self.data[HEAD.size : end])
        del self.data[:end]
        self.total -= end
        return frame

    @property
    def is_bad(self) -> bool:
        """Whether a frame has begun that is longer than what may be kept."""
        begun = len(self.data) >= HEAD.size
        return begun and HEAD.unpack_from(self.data)[0] + HEAD.size > self._limit


class Channels:
    """The ends of pipes that are ours. Closed, with all of them, at the end of a ``with``."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self._selector = selectors.DefaultSelector()
        self._open: set[int] = set()
        self._waiting: dict[int, memoryview] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in list(self._open):
            self.close(descriptor)
        self._selector.close()

    def pipe(self) -> tuple[int, int]:
        """Return a pipe of which both ends are closed with the channels: to read, to write."""
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def own(self, descriptor: int) -> int:
        """Close a descriptor with the channels."""
        self._open.add(descriptor)
        return descriptor

    def incoming(self, limit: int) -> tuple[Kept, int]:
        """Return what will have been read from a pipe, and the end for the other process."""
        end, theirs = self.pipe()
        kept = Kept(limit)
        os.set_blocking(end, False)
        self._selector.register(end, selectors.EVENT_READ, kept)
        return kept, theirs

    def outgoing(self) -> tuple[int, int]:
        """Return our end to ``send`` to, and the end for the other process."""
        theirs, end = self.pipe()
        os.set_blocking(end, False)
        return end, theirs

    def send(self, descriptor: int, data: bytes) -> None:
        """Write when the other side reads. What was sent before must have gone."""
        self._waiting[descriptor] = memoryview(data)
        self._selector.register(descriptor, selectors.EVENT_WRITE, None)

    def close(self, *descriptors: int) -> None:
        """Close some; those that are closed already are left alone."""
        for descriptor in descriptors:
            if descriptor in self._open:
                self._open.remove(descriptor)
                self._forget(descriptor)
                os.close(descriptor)

    def until(self, is_done: Callable[[], bool]) -> None:
        """Read and write until ``is_done()``.

        Raises:
            Cancelled: nobody waits any more.
        """
        while not is_done():
            if self._stop():
                raise Cancelled("Grading was stopped.")
            for key, _ in self._selector.select(TICK):
                if isinstance(key.data, Kept):
                    self._read(key.fd, key.data)
                else:
                    self._write(key.fd)

    def _read(self, descriptor: int, kept: Kept) -> None:
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        kept.add(part)
        if not part:
            self.close(descriptor)

    def _write(self, descriptor: int) -> None:
        try:
            count = os.write(descriptor, self._waiting[descriptor])
        except BlockingIOError:
            return
        except OSError:  # nobody reads it any more: its answer will be missing
            self._forget(descriptor)
            return
        self._waiting[descriptor] = self._waiting[descriptor][count:]
        if not self._waiting[descriptor]:
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._waiting.pop(descriptor, None)
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)


def frame(data: bytes) -> bytes:
    """Return data with its length before it."""
    return HEAD.pack(len(data)) + data
