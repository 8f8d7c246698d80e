"""Remember which files were hashed, so that the next look costs a ``stat`` and not a full read."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.weights.catalogue import PinnedFile

NAME = ".verified.json"


def is_stamped(folder: Path, files: Iterable[PinnedFile]) -> bool:
    """Return True where every file was found to be the pinned one and is unchanged since."""
    seen = _read(folder)
    return all(seen.get(file.path) == _mark(folder, file) is not None for file in files)


def stamp(folder: Path, files: Iterable[PinnedFile]) -> None:
    """Record that the files were just hashed and are the pinned ones.

    Where the folder cannot be written, as on a shared read-only disk, they are hashed again in
    the next process.
    """
    marks = {file.path: _mark(folder, file) for file in files}
    draft = folder / f"{NAME}.{os.getpid()}-{threading.get_ident()}"
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(marks, indent=1), encoding="utf-8")
        draft.replace(folder / NAME)


def _read(folder: Path) -> dict[str, Any]:
    try:
        seen = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def _mark(folder: Path, file: PinnedFile) -> dict[str, Any] | None:
    """Describe the file as it lies there, or None where it is missing or of another size."""
    try:
        status = (folder / file.path).stat()
    except OSError:
        return None
    if status.st_size != file.bytes:
        return None
    return {"sha256": file.sha256, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
