"""What every crawler does with a file it meets: which names it passes by, and how bytes are read.

Folders, archives, clones and data sets differ in how they come to a path and its bytes. What
happens then is the same, and stands here.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import tokenize

from workbench.corpus.notebooks import (
    MAX_NOTEBOOK_BYTES,
    NotebookError,
    code_of_notebook,
    is_notebook,
    language_of_code,
)
from workbench.languages import language_of_path
from workbench.types import Document

MAX_BYTES = 1_000_000
"""Largest file that is read. Nearly all larger ones are data or generated."""
MAX_PATH = 1_000
"""Longest path, in characters, that is kept."""

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


def check_name(name: str, *, is_folder: bool) -> None:
    """Check one part of a path: of a folder or of a file.

    Raises:
        Skip: "undecodable name", "hidden", "cache" or "vendored".
    """
    if not _is_text(name):
        raise Skip("undecodable name")
    if name.startswith("."):
        raise Skip("hidden")
    if is_folder and name in CACHES:
        raise Skip("cache")
    if is_folder and name in VENDORED:
        raise Skip("vendored")


def check_path(path: str) -> None:
    """Check a path that an archive or a clone gives, with forward slashes, of a file.

    Raises:
        Skip: "unsafe path" where it is absolute or leads out of its root, or a reason of
            ``check_name`` for one of its parts.
    """
    parts = path.split("/")
    if (
        not path
        or len(path) > MAX_PATH
        or path.startswith("/")
        or "\\" in path
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(character) < 32 or ord(character) == 127 for character in path)
        or (len(parts[0]) > 1 and parts[0][1] == ":")
    ):
        raise Skip("unsafe path")
    for part in parts[:-1]:
        check_name(part, is_folder=True)
    check_name(parts[-1], is_folder=False)


def limit_of(path: str, *, max_bytes: int = MAX_BYTES) -> int:
    """Return the size in bytes above which the file of that name is not read.

    A notebook may be larger than other files, for its outputs; its code may not.
    """
    return MAX_NOTEBOOK_BYTES if is_notebook(path) else max_bytes


def read_text(path: str, data: bytes, *, max_bytes: int = MAX_BYTES) -> str:
    """Return the text in a file's bytes: line ends as they are, without a byte order mark.

    Of a notebook it is the code, as ``code_of_notebook`` has it. Read at most
    ``limit_of(path) + 1`` bytes of a file before calling this.

    Raises:
        Skip: "too large", "binary", "undecodable" or "empty", or a reason of
            ``code_of_notebook``.
    """
    if len(data) > limit_of(path, max_bytes=max_bytes):
        raise Skip("too large")
    if b"\0" in data:
        raise Skip("binary")
    language = language_of_path(path)
    try:
        text = _decode(data, is_python=language is not None and language.name == "python")
        if is_notebook(path) and text.strip():
            text = code_of_notebook(text, max_characters=max_bytes)
        # Some codecs, and JSON, let lone surrogates through, which no tokenizer takes.
        size = len(text.encode())
    except NotebookError as error:
        raise Skip(str(error)) from None
    except (ValueError, LookupError, SyntaxError):
        raise Skip("undecodable") from None
    if is_notebook(path) and size > max_bytes:
        raise Skip("too large")
    if not text.strip():
        raise Skip("empty")
    return text


def make_document(
    path: str, text: str, *, source: str, revision: str | None, license: str | None
) -> Document:
    """Return the document of one file, its language by the ending of its name.

    That of a notebook's code is the one that ``read_text`` found in it.
    """
    language = language_of_path(path)
    name = language.name if language else None
    return Document(
        path=path,
        text=text,
        language=language_of_code(text) if is_notebook(path) else name,
        license=license,
        source=source,
        revision=revision,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _decode(data: bytes, *, is_python: bool) -> str:
    encoding = "utf-8"
    if is_python:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        # Its decoder takes the square of the length: minutes for a megabyte.
        if codecs.lookup(encoding).name == "punycode":
            raise LookupError(encoding)
    return data.removeprefix(codecs.BOM_UTF8).decode(encoding.removesuffix("-sig"))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
