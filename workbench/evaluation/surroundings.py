"""What surrounds a run and may decide its figures: versions, machine, sandbox, revision."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workbench
from workbench.machine import environment
from workbench.sandbox.runtimes import RUNTIMES
from workbench.types import ProgramTests

if TYPE_CHECKING:
    from workbench.suites import Suite


def surroundings(languages: Iterable[str] = ()) -> dict[str, Any]:
    """Return versions, hardware, the languages' toolchains, and the revision of the workbench."""
    told = environment()
    told["hardware"].pop("free_memory_gib", None)  # it differs at every look, and decides nothing
    tools = {}
    for language in languages:
        found = RUNTIMES.load(language)().find() if language in RUNTIMES else None
        tools[language] = None if found is None else found.name
    return {**told, "toolchains": tools, "revision": revision()}


def languages_of(suite: Suite) -> list[str]:
    """Return the languages in which answers to a suite are run."""
    found = set()
    for example in suite.examples:
        tests = example.reference.tests
        if isinstance(tests, ProgramTests):
            found.add(tests.language)
        elif tests is not None and example.question.target_language:
            found.add(example.question.target_language)
    return sorted(found)


@functools.cache
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
