"""Know a model file by the sha256 of its bytes, computed once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from workbench.durable import replace_durably
from workbench.progress import bar
from workbench.settings import settings
from workbench.weights.archives import sha256_of
from workbench.weights.catalogue import CATALOGUE


def sha256_of_model(resolved: str, path: Path) -> str:
    """Return the hex sha256 of a model's file.

    Of a short name it is the pinned one, which its file was checked against. Of any other file it
    is kept under ``settings().home`` beside size and time of change, and computed again when one
    of them is another.
    """
    if resolved in CATALOGUE:
        return CATALOGUE[resolved].files[0].sha256
    status = path.stat()
    known = [str(path.resolve()), status.st_size, status.st_mtime_ns]
    note = _note(path)
    with contextlib.suppress(OSError, ValueError, TypeError):
        *seen, sha256 = json.loads(note.read_text(encoding="utf-8"))
        if seen == known:
            return str(sha256)
    with bar(total=status.st_size, desc=f"{path.name}: hashing", unit="B") as progress:
        sha256 = sha256_of(path, progress.update)
    # A home that cannot be written costs the time again, and nothing else.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(note, json.dumps([*known, sha256]))
    return sha256


def _note(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return settings().home / "hashes" / f"{name}.json"
