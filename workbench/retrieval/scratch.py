"""Private copies of files that a library would write to.

Each process has a folder of its own below ``indexes/.scratch``, locked as long as it lives. What
dead processes left is removed by the next one that comes.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.settings import settings

_FOLDER = ".scratch"
_OWNER = "owner.lock"

_mine: dict[tuple[Path, int], tuple[Path, FileLock | None]] = {}
_making = threading.Lock()


class Damaged(Exception):
    """A file is not as it was written."""


def private_copy(folder: Path, hashes: Mapping[str, str], written: Collection[str]) -> Path:
    """Copy files of ``folder`` into a new folder of this process, and check the copies.

    ``hashes`` are the sha256 of the files by relative path; nothing else is copied. Files that
    are not named in ``written`` are linked where the file system can, as nobody writes to them.

    Raises:
        Damaged: a file is gone, or not as its hash says.
    """
    copy = _home() / secrets.token_hex(6)
    for name, expected in hashes.items():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _link_or_copy(folder / name, target, copied=name in written)
        except FileNotFoundError:
            shutil.rmtree(copy, ignore_errors=True)
            raise Damaged(f"{folder / name} is gone") from None
        if sha256(target) != expected:
            shutil.rmtree(copy, ignore_errors=True)
            raise Damaged(f"{folder / name} is not as it was written")
    return copy


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link_or_copy(source: Path, target: Path, *, copied: bool) -> None:
    if not copied:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def _home() -> Path:
    """Return this process's folder: on the disk of the indexes, or where that is read-only, not."""
    root = settings().indexes / _FOLDER
    mine = (root, os.getpid())  # a forked child makes its own
    with _making:
        if mine not in _mine or not _mine[mine][0].is_dir():
            try:
                root.mkdir(parents=True, exist_ok=True)
                _mine[mine] = _make(root)
            except (OSError, Timeout):
                _mine[mine] = Path(tempfile.mkdtemp(prefix="code-workbench-")), None
            atexit.register(_remove, mine)
        return _mine[mine][0]


def _make(root: Path) -> tuple[Path, FileLock]:
    """Make and lock a folder, and remove those whose locks nobody holds."""
    with FileLock(root / "sweep.lock", timeout=10):
        for other in root.iterdir():
            if other.is_dir():
                _sweep(other)
        folder = root / f"{os.getpid()}-{secrets.token_hex(6)}"
        folder.mkdir()
        lock = FileLock(folder / _OWNER, timeout=0)
        lock.acquire()
        return folder, lock


def _sweep(folder: Path) -> None:
    lock = FileLock(folder / _OWNER, timeout=0)
    with contextlib.suppress(OSError, Timeout):
        lock.acquire()
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove(mine: tuple[Path, int]) -> None:
    if mine[1] == os.getpid() and mine in _mine:
        folder, lock = _mine.pop(mine)
        if lock is not None:
            lock.release()
        shutil.rmtree(folder, ignore_errors=True)
