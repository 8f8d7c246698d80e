"""Crawl a folder: all text files, in sorted order, with everything left out counted by reason."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import BadInput
from workbench.languages import language_of_path
from workbench.types import Document

MAX_BYTES = 1_000_000
"""Largest file that is read. Nearly all larger ones are data or generated."""

# Version control that does not hide itself, caches, and other people's code.
CACHES = frozenset({"__pycache__", "CVS", "_darcs"})
VENDORED = frozenset(
    {
        "bower_components",
        "dist-packages",
        "node_modules",
        "site-packages",
        "third-party",
        "third_party",
        "thirdparty",
        "vendor",
        "vendored",
    }
)


class Skip(Exception):
    """A file is left out; the message is the reason under which it is counted."""


class Folder:
    """The text files below a folder.

    No link is followed. Hidden entries, version control, caches and vendored code are left out,
    and so are binaries, files over ``max_bytes``, files that do not decode (UTF-8, or the coding
    cookie of a Python file, PEP 263) and empty ones. Each is counted in ``skipped`` by its
    reason; a folder that is not entered counts as one entry.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = MAX_BYTES,
        license: str | None = None,
        source: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Point at ``path``.

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
        self._max_bytes = max_bytes

    def crawl(self) -> Iterator[Document]:
        """Yield documents, in the order of their paths' parts."""
        self.skipped.clear()
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
                text = read_text(Path(entry.path), self._max_bytes)
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

    @staticmethod
    def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))

    def _check(self, entry: os.DirEntry[str], path: str) -> None:
        """Raise Skip where the entry's name or kind alone rules it out."""
        if not path.isascii() and not _is_text(path):
            raise Skip("undecodable name")
        if entry.is_symlink():
            raise Skip("link")
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.is_file(follow_symlinks=False):
            raise Skip("not a file")
        if entry.name.startswith("."):
            raise Skip("hidden")
        if is_folder and entry.name in CACHES:
            raise Skip("cache")
        if is_folder and (entry.name in VENDORED or Path(entry.path, "pyvenv.cfg").is_file()):
            raise Skip("vendored")
        if (reason := self.refuse_entry(path, is_folder)) is not None:
            raise Skip(reason)

    def _document(self, path: str, text: str) -> Document:
        language = language_of_path(path)
        return Document(
            path=path,
            text=text,
            language=language.name if language else None,
            license=self._license,
            source=self.source,
            revision=self.revision,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )


def read_text(path: Path, max_bytes: int) -> str:
    """Return the text of a file with its line ends as they are, without a byte order mark.

    Raises:
        Skip: it is too large, binary, not decodable or empty.
        OSError: it cannot be read.
    """
    # Never more than the limit comes into memory, even if the file grows meanwhile.
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Skip("too large")
    if b"\0" in data:
        raise Skip("binary")
    language = language_of_path(path.name)
    try:
        text = _decode(data, is_python=language is not None and language.name == "python")
        text.encode()  # some codecs let lone surrogates through, which no JSON or tokenizer takes
    except (ValueError, LookupError, SyntaxError):
        raise Skip("undecodable") from None
    if not text.strip():
        raise Skip("empty")
    return text


def _decode(data: bytes, *, is_python: bool) -> str:
    encoding = "utf-8"
    if is_python:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.removeprefix(codecs.BOM_UTF8).decode(encoding.removesuffix("-sig"))


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
