"""What is built once and read by all: precompiled headers, archives of a standard library.

Only text of ours is ever compiled here. A folder is named by what went into it, and comes into
being whole: it is built beside its place and then moved there.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from workbench.locks import exclusive
from workbench.settings import settings


def graders() -> Path:
    """Return the folder of what grading keeps."""
    return settings().home / "graders"


def digest_of(*parts: str | bytes) -> str:
    """Return the SHA-256 of texts in their order, in hex; where one ends counts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def shared_folder_of(name: str, *parts: str) -> Path:
    """Return where the folder lies that is built of ``parts``, whether it is there or not."""
    return graders() / f"{name}-{digest_of(*parts)[:16]}"


def build_shared(folder: Path, build: Callable[[Path], None]) -> None:
    """Let ``build`` fill a folder, unless it is there; others wait until it is done.

    Raises:
        InUse: another process has been building it for five minutes.
    """
    if folder.is_dir():
        return
    lock = folder.parent / "locks" / folder.name
    with exclusive(lock, f"{folder.name} is being built", wait=300):
        if folder.is_dir():
            return
        part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
        try:
            build(part)
            part.chmod(0o755)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
