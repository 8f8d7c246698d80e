"""Read the files of an archive, one after another, whatever whoever made it had in mind.

Nothing is unpacked, built or run, and nothing is written. Tar (plain, gzip, bzip2, xz) is read as
a stream and zip by its directory. Three rules keep memory and time small: no header is larger
than ``MAX_HEADER``, no file comes further into memory than its limit, and what comes out of the
archive stays under the caps, and under ``MAX_RATIO`` times what went in.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
import io
import itertools
import lzma
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.entries import Skip, check_path, limit_of

DAMAGED = "archive damaged"
TOO_LARGE = "archive too large"

MAX_MEMBERS = 50_000
"""Most members of one archive, folders and links included. CPython's has 5,000."""
MAX_HEADER = 16_384
"""Most bytes of headers that one member of a tar may have: some paths, times and attributes."""
MAX_DIRECTORY = 4_000_000
"""Largest directory of a zip, in bytes: about 40,000 files. It is read at once."""
MAX_DICTIONARY = 100_000_000
"""Most memory that an xz stream may ask for; ``xz -9``, the largest preset, asks for 65 MB."""
MAX_RATIO = 200
FREE_BYTES = 64_000_000
"""Code shrinks to a quarter or a tenth. From this size on, more than MAX_RATIO is a bomb."""

_PIECE = 65_536
# What the parsers of the standard library trip over, when the bytes mean harm.
_BROKEN = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError),
    *(ValueError, lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error),
)
# Bits of a zip member's flags: encrypted, strongly encrypted, and with a masked header.
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: its path within the archive's one top folder, and its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A member that is not read, by the name that the archive gives it, and why.

    ``name`` is "" where the reason is the archive's: then nothing comes behind it.
    """

    name: str
    reason: str


def members(
    path: Path, caps: Caps = DEFAULT_CAPS, *, wanted: Callable[[str], bool] | None = None
) -> Iterator[Member | LeftOut]:
    """Yield the files of an archive in its own order, and what is left out of it.

    The top folder (``name-version/``: that of the first file) is cut off the paths. Where two
    members have one path, the first counts: it was handed on already, and whoever checked it
    must not find another in its place. Folders are not mentioned. With ``wanted``, files whose
    path it refuses are passed over in silence.

    Reasons: those of ``check_path``; "link", "not a file", "sparse", "encrypted", "compression
    method", "overlap" (zip members that share bytes), "duplicate", "too large", "damaged"; and for
    the archive ``DAMAGED``, ``TOO_LARGE`` and ``caps.beyond_seconds``.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    names = _Names()
    with path.open("rb") as file:
        try:
            for count, entry in enumerate(_entries(file, _Meter(caps))):
                if count == MAX_MEMBERS:
                    raise _Ended(TOO_LARGE)
                if entry.is_folder:
                    continue
                try:
                    member = _read(entry, names, wanted)
                except Skip as skip:
                    yield LeftOut(entry.name, str(skip))
                else:
                    if member is not None:
                        yield member
        except _Ended as end:
            yield LeftOut("", str(end))


class _Ended(Exception):
    """The archive is read no further; the message is the reason."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member as the archive describes it; ``read`` returns at most ``size`` bytes."""

    name: str
    size: int
    read: Callable[[], bytes]
    is_folder: bool = False
    refusal: str | None = None


def _read(entry: _Entry, names: _Names, wanted: Callable[[str], bool] | None) -> Member | None:
    """Return a member with its bytes, or None where it is not wanted; raise Skip if refused."""
    if entry.refusal is not None:
        raise Skip(entry.refusal)
    path = names.path_of(entry.name)
    if wanted is not None and not wanted(path):
        return None
    if entry.size > limit_of(path):
        raise Skip("too large")
    return Member(path, entry.read())


class _Names:
    """Turns the names of members into safe paths, each of which counts once."""

    def __init__(self) -> None:
        self._top: str | None = None
        # Digests, as a hundred thousand paths of a thousand characters would fill the memory.
        self._seen: set[bytes] = set()

    def path_of(self, name: str) -> str:
        """Return the path within the top folder.

        Raises:
            Skip: a reason of ``check_path``, or "duplicate".
        """
        path = name.removeprefix("./")  # as `tar c ./folder` writes them
        check_path(path)
        top, slash, rest = path.partition("/")
        if slash and self._top is None:
            self._top = top
        if slash and top == self._top:
            path = rest
        digest = hashlib.sha256(path.encode()).digest()[:16]
        if digest in self._seen:
            raise Skip("duplicate")
        self._seen.add(digest)
        return path


class _Meter:
    """Counts what is read of an archive and what comes out of it, and ends both in time."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._deadline = time.monotonic() + caps.seconds
        self._in = self._out = 0

    def take(self, count: int) -> None:
        """Count bytes of the archive itself."""
        self._look_at_the_clock()
        self._in += count

    def give(self, count: int) -> None:
        """Count bytes that came out of it."""
        self._look_at_the_clock()
        self._out += count
        bomb = self._out > FREE_BYTES and self._out > MAX_RATIO * self._in
        if bomb or self._out > self._caps.bytes:
            raise _Ended(TOO_LARGE)

    def _look_at_the_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise _Ended(self._caps.beyond_seconds)


class _Metered(io.RawIOBase):
    """The bytes of the archive itself; nobody reads more than ``MAX_DIRECTORY`` at once."""

    def __init__(self, file: BinaryIO, meter: _Meter) -> None:
        self._file, self._meter = file, meter

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = MAX_DIRECTORY + 1 if size is None or size < 0 else size
        if wanted > MAX_DIRECTORY + 1:
            raise _Ended(TOO_LARGE)
        data = self._file.read(wanted)
        if len(data) > MAX_DIRECTORY:
            raise _Ended(TOO_LARGE)
        self._meter.take(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _entries(file: BinaryIO, meter: _Meter) -> Iterator[_Entry]:
    """Read an archive by the format that its first bytes tell, whatever its name says."""
    magic = file.read(6)
    file.seek(0)
    raw = _Metered(file, meter)
    # zipfile and the readers of gzip and bzip2 take anything with the methods of a file.
    source = cast(Any, raw)
    if magic.startswith(b"PK"):
        return _of_zip(source, meter)
    if magic.startswith(b"\x1f\x8b"):
        return _of_tar(_Forward(gzip.GzipFile(fileobj=source, mode="rb"), meter))
    if magic.startswith(b"BZh"):
        return _of_tar(_Forward(bz2.BZ2File(source), meter))
    if magic == b"\xfd7zXZ\0":
        return _of_tar(_Forward(io.BufferedReader(_Xz(raw), _PIECE), meter))
    return _of_tar(_Forward(raw, meter))


# --- tar -------------------------------------------------------------------------------


class _Xz(io.RawIOBase):
    """What comes out of an xz stream. ``lzma.LZMAFile`` would take any amount of memory for it."""

    def __init__(self, source: _Metered) -> None:
        self._source = source
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._decoder.eof:
            more = self._source.read(_PIECE) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not more:
                raise EOFError("the stream ends early")
            if data := self._decoder.decompress(more, len(buffer)):
                buffer[: len(data)] = data
                return len(data)
        return 0


class _Forward:
    """A tar that comes as a stream: what ``tarfile`` asks it for by ``read`` is headers only."""

    def __init__(self, stream: io.IOBase, meter: _Meter) -> None:
        self._stream, self._meter = cast(Any, stream), meter
        self._position = 0
        self._headers = 0
        self._block: bytes = b""

    def read(self, size: int) -> bytes:
        """Return bytes of a header."""
        self._headers += size
        if self._headers > MAX_HEADER:
            raise _Ended(TOO_LARGE)
        self._block = self._take(size)
        return self._block

    def seek(self, position: int) -> None:
        """Pass over bytes; at the end of the stream, stay there."""
        missing = position - self._position
        if missing < 0:
            raise _Ended(DAMAGED)
        for _ in self.pieces(missing):
            pass

    def tell(self) -> int:
        """Return how many bytes have passed."""
        return self._position

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next ``size`` bytes, fewer only at the end of the stream."""
        while size and (piece := self._take(min(size, _PIECE))):
            size -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except _BROKEN as error:
            raise _Ended(DAMAGED) from error
        self._position += len(data)
        self._meter.give(len(data))
        return data

    def begin_member(self) -> None:
        """Let the headers of the next member count from nought."""
        self._headers = 0

    def ended_well(self) -> bool:
        """Tell whether the block read last is the mark that stands at the end of a tar."""
        return self._block == bytes(tarfile.BLOCKSIZE)


def _of_tar(stream: _Forward) -> Iterator[_Entry]:
    try:
        tar = tarfile.open(fileobj=cast(Any, stream), mode="r:")  # noqa: SIM115  # not its to close
    except _BROKEN as error:
        raise _Ended(DAMAGED) from error
    while (info := _next(tar, stream)) is not None:
        read = functools.partial(_tar_bytes, stream, info)
        refusal = _tar_refusal(info)
        yield _Entry(info.name, info.size, read, is_folder=info.isdir(), refusal=refusal)


def _next(tar: tarfile.TarFile, stream: _Forward) -> tarfile.TarInfo | None:
    """Return the next member, or None at the end."""
    stream.begin_member()
    try:
        info = tar.next()
    except _BROKEN as error:
        raise _Ended(DAMAGED) from error
    # It would keep all members, and give each a copy of all global headers that came so far.
    cast(Any, tar).members.clear()
    tar.pax_headers = {}
    # It takes a header that it cannot read for the end.
    if (info is None and not stream.ended_well()) or (info is not None and info.size < 0):
        raise _Ended(DAMAGED)
    return info


def _tar_refusal(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "link"
    if not info.isreg():
        return "not a file"
    return "sparse" if info.issparse() else None


def _tar_bytes(stream: _Forward, info: tarfile.TarInfo) -> bytes:
    stream.seek(info.offset_data)
    data = b"".join(stream.pieces(info.size))
    if len(data) < info.size:
        raise _Ended(DAMAGED)
    return data


# --- zip -------------------------------------------------------------------------------


def _of_zip(file: Any, meter: _Meter) -> Iterator[_Entry]:
    try:
        archive = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise _Ended(DAMAGED) from error
    with archive:
        infos = archive.infolist()
        overlapping = _overlapping(infos)
        for info in infos:
            read = functools.partial(_zip_bytes, archive, info, meter)
            refusal = "overlap" if id(info) in overlapping else _zip_refusal(info)
            # The name as it stands there: ``filename`` ends at the first NUL.
            name, size = info.orig_filename, info.file_size
            yield _Entry(name, size, read, is_folder=info.is_dir(), refusal=refusal)


def _overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Return the identities of members whose bytes reach into another member.

    So a bomb lets thousands of members share the same few bytes (D. Fifield, "A better zip bomb",
    2019). Before Python 3.11.8, ``zipfile`` does not look.
    """
    found = set()
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, following in itertools.pairwise(ordered):
        end = info.header_offset + 30 + len(info.orig_filename) + info.compress_size
        if end > following.header_offset:
            found.add(id(info))
    return found


def _zip_refusal(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "not a file"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    # Other methods take as much memory as the archive asks for, and no index accepts them.
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return None if known else "compression method"


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: _Meter) -> bytes:
    try:
        with archive.open(info) as stream:  # ends at the size that was told, and checks the sum
            data = b"".join(iter(functools.partial(stream.read, _PIECE), b""))
    except _BROKEN as error:
        raise Skip("damaged") from error
    meter.give(len(data))
    if len(data) != info.file_size:
        raise Skip("damaged")
    return data
