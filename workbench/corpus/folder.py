"""Crawl a folder: all text files, in sorted order, with everything left out counted by reason."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.entries import (
    MAX_BYTES,
    Skip,
    check_name,
    limit_of,
    make_document,
    read_text,
)
from workbench.corpus.licences import Licences, header_licence, is_licence_file
from workbench.errors import BadInput
from workbench.types import Document


class Folder:
    """The text files below a folder.

    No link is followed. Hidden entries, version control, caches and vendored code are left out,
    and so are binaries, files over ``max_bytes``, files that do not decode (UTF-8, or the coding
    cookie of a Python file, PEP 263) and empty ones. Each is counted in ``skipped`` by its
    reason; a folder that is not entered counts as one entry. The licence of a document is
    ``license``, or else that of its SPDX header or of the nearest licence file at or above it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        caps: Caps = DEFAULT_CAPS,
        max_bytes: int = MAX_BYTES,
        license: str | None = None,
        source: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Point at ``path``. Nothing is downloaded, so ``caps`` are for the caller to keep.

        Raises:
            BadInput: it is no folder, or cannot be listed.
        """
        self.root = Path(path).expanduser().resolve()
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            raise BadInput(f"The folder '{path}' {what}.", "Give the path of a folder.")
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise BadInput(f"The folder '{path}' may not be read.", f"Run: chmod u+rx '{path}'")
        self.source = source or f"folder:{self.root.as_posix()}"
        self.revision = revision
        self.skipped: Counter[str] = Counter()
        self._license = license
        self._licences = Licences()
        self._max_bytes = max_bytes

    def crawl(self) -> Iterator[Document]:
        """Yield documents, in the order of their paths' parts."""
        self.skipped.clear()
        self._licences = Licences()
        folders = [self._entries(self.root)]
        # A stack and not recursion: a hostile tree may be deeper than Python's stack.
        while folders:
            entry = next(folders[-1], None)
            if entry is None:
                folders.pop()
                continue
            try:
                path = Path(entry.path).relative_to(self.root).as_posix()
                self._check(entry, path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(self._entries(Path(entry.path)))
                    continue
                text = self._text(entry)
                if (reason := self.refuse_text(path, text)) is not None:
                    raise Skip(reason)
            except Skip as skip:
                self.skipped[str(skip)] += 1
            except OSError:
                self.skipped["unreadable"] += 1
            else:
                yield self._document(path, text)

    def refuse_entry(self, path: str, is_folder: bool) -> str | None:
        """Return a further reason to skip an entry by its name, or None; for subclasses."""
        return None

    def refuse_text(self, path: str, text: str) -> str | None:
        """Return a further reason to skip a file by its text, or None; for subclasses."""
        return None

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Return the sorted entries of a folder, once its licence files were seen."""
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if self._license is None:
            for entry in found:
                if is_licence_file(entry.name):
                    self._see_licence(entry)
        return iter(found)

    def _see_licence(self, entry: os.DirEntry[str]) -> None:
        path = Path(entry.path).relative_to(self.root).as_posix()
        with contextlib.suppress(Skip, OSError):
            self._check(entry, path)
            if entry.is_file(follow_symlinks=False):
                self._licences.see(path, self._text(entry))

    def _text(self, entry: os.DirEntry[str]) -> str:
        return read_text(entry.name, self._read(entry.path), max_bytes=self._max_bytes)

    def _read(self, path: str) -> bytes:
        # What was a file when the folder was listed may have become a link, or a pipe, on which
        # opening would wait for ever. Never more than the limit comes into memory.
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, os.O_RDONLY | flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Skip("not a file")
            return file.read(limit_of(path, max_bytes=self._max_bytes) + 1)

    def _check(self, entry: os.DirEntry[str], path: str) -> None:
        """Raise Skip where the entry's name or kind alone rules it out."""
        if entry.is_symlink():
            raise Skip("link")
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.is_file(follow_symlinks=False):
            raise Skip("not a file")
        check_name(entry.name, is_folder=is_folder)
        if is_folder and Path(entry.path, "pyvenv.cfg").is_file():
            raise Skip("vendored")
        if (reason := self.refuse_entry(path, is_folder)) is not None:
            raise Skip(reason)

    def _document(self, path: str, text: str) -> Document:
        license = self._license or header_licence(text) or self._licences.of(path)
        return make_document(
            path, text, source=self.source, revision=self.revision, license=license
        )
