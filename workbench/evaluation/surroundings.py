"""What surrounds a run and may decide its figures: versions, machine, sandbox, revision."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import workbench
from workbench.machine import environment


def surroundings() -> dict[str, Any]:
    """Return versions, hardware, sandbox tier, toolchains, and the revision of the workbench."""
    told = environment()
    told["hardware"].pop("free_memory_gib", None)  # it differs at every look, and decides nothing
    return {**told, "revision": revision()}


def revision() -> str | None:
    """Return the git revision of the workbench, "+changed" where files differ; None: not known."""
    folder = Path(workbench.__file__).parent
    git = shutil.which("git")
    if git is None or not (folder.parent / ".git").exists():
        return None
    try:
        head = _git(git, folder, "rev-parse", "HEAD")
        changed = _git(git, folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head[:12]}{'+changed' if changed else ''}"


def _git(git: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [git, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    )
    return done.stdout.strip()
