"""One writer at a time, and the word on who it is."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from workbench.errors import InUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(folder: Path, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the right to write into ``folder``; a process that dies lets go of it.

    ``what`` begins the sentence of the error, as in "The corpus x is being written". Waits at
    most ``wait`` seconds.

    Raises:
        InUse: another process, or thread, holds it; the message says which process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the lock, as older versions of filelock truncate the file that they lock.
    writer = folder / "writer.pid"
    # A generator that holds it may be closed by another thread than the one that began it.
    lock = FileLock(folder / "writer.lock", timeout=wait, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        pid = ""
        with contextlib.suppress(OSError):
            pid = f" by process {writer.read_text(encoding='ascii')}"
        raise InUse(f"{what}{pid}.", "Try again when it is done.") from None
    try:
        writer.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        writer.unlink(missing_ok=True)
        lock.release()
