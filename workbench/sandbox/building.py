"""Turn source text into something that runs: in a sandbox, into a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.sandbox.channels import Channels
from workbench.sandbox.jail import End
from workbench.sandbox.records import Limits
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.shared import build_shared, digest_of, graders
from workbench.sandbox.tiers import Tier

_SAID = 1 << 16
"""Bytes that are kept of what a compiler says."""
_MEMORY, _FILES = 2 << 30, 256 << 20
_DAYS = 30
"""Days after which a checker that nobody used is thrown away."""

# The digests of the checkers that this process built or has seen: whoever changes one on disk,
# its manifest included, is found out.
_known: dict[str, str] = {}
_swept: set[Path] = set()


class Failed(Exception):
    """A compiler did not do its work. ``end`` says how it ended, the text what it said."""

    def __init__(self, said: str, end: End) -> None:
        super().__init__(said)
        self.said = said
        self.end = end


@dataclass(frozen=True, slots=True)
class Builder:
    """Compiles in a tier, with what the compiler may take."""

    tier: Tier
    toolchain: Toolchain
    limits: Limits
    stop: Callable[[], bool]

    @contextmanager
    def built(self, built: Built) -> Iterator[Path]:
        """Lend a folder with everything in it, which is gone afterwards.

        Raises:
            Failed: the compiler refused it, or took too much.
            Cancelled: nobody waits any more.
        """
        folder = Path(tempfile.mkdtemp(prefix="workbench-build-"))
        try:
            self._build(built, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def kept(self, built: Built) -> Iterator[Path]:
        """Lend the folder of a checker, which is compiled once for all candidates.

        One that was changed since is built again.

        Raises:
            Failed: the compiler refused it.
            Cancelled: nobody waits any more.
            InUse: another process has been building it for minutes.
        """
        if not built.compile:
            with self.built(built) as folder:
                yield folder
            return
        key = self._key(built)
        folder = graders() / "checkers" / key
        _sweep(folder.parent)

        def build(part: Path) -> None:
            self._build(built, part)
            _known[key] = _digest(part)
            _manifest(folder).write_text(_known[key], encoding="ascii")

        if folder.is_dir() and not self._is_sound(folder, key):
            shutil.rmtree(folder, ignore_errors=True)
        build_shared(folder, build)
        folder.touch()
        yield folder

    def _key(self, built: Built) -> str:
        texts = [text for name in sorted(built.files) for text in (name, built.files[name])]
        return digest_of(
            self.toolchain.name,
            json.dumps([built.compile, sorted(built.environment.items())]),
            *texts,
        )

    def _is_sound(self, folder: Path, key: str) -> bool:
        """Whether nothing in it has changed since it was built, as far as can be known."""
        digest = _digest(folder)
        if key in _known:
            return _known[key] == digest
        # Another process built it: its own word on the contents lies beside the folder.
        with contextlib.suppress(OSError):
            if _manifest(folder).read_text(encoding="ascii") == digest:
                _known[key] = digest
                return True
        return False

    def _build(self, built: Built, folder: Path) -> None:
        for name, text in built.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="replace"))
        for command in built.compile:
            self._compile(command, built, folder)

    def _compile(self, command: tuple[str, ...], built: Built, folder: Path) -> None:
        limits = replace(
            self.limits,
            cpu_seconds=self.limits.compile_seconds,
            memory=max(self.limits.memory, _MEMORY),
            files=max(self.limits.files, _FILES),
        )
        with Channels(self.stop) as channels:
            said, theirs = channels.incoming(_SAID)
            jailed = self.tier.popen(
                command,
                folder=folder,
                limits=limits,
                readable=self.toolchain.readable,
                environment=built.environment,
                processes=True,
                writable=True,
                memory_by_rss=built.memory_by_rss,
                stdout=theirs,
                stderr=theirs,
            )
            with jailed:
                channels.close(theirs)
                channels.until(lambda: said.ended)
                end = jailed.wait()
        if not end.succeeded:
            raise Failed(said.text, end)


def _manifest(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256")


def _digest(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files in a folder, in hex."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).encode()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        digest.update(digest_of(name, content, oct(path.lstat().st_mode).encode()).encode())
    return digest.hexdigest()


def _sweep(folder: Path) -> None:
    """Remove, once per process, what nobody has used for long."""
    if folder in _swept or not folder.is_dir():
        return
    _swept.add(folder)
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _DAYS * 86_400:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
