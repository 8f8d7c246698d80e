"""Archives that mean harm, made here byte by byte; each with what must become of it.

Most hold ``good.py`` before the harm and ``last.py`` behind it. Where the harm ends the archive,
only what stands before it can be read.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workbench.corpus.archives import DAMAGED, TOO_LARGE

GOOD = b"good = 1\n"
LAST = b"last = 1\n"
END = bytes(1024)
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Hostile:
    """``left`` are the reasons, in order; ``others`` the paths read beside the two good ones."""

    make: Callable[[], bytes]
    left: tuple[str, ...]
    ends: bool = False
    others: tuple[str, ...] = ()
    good: bool = True


HOSTILE: dict[str, Hostile] = {}


# --- tar -------------------------------------------------------------------------------


def file(name: str, data: bytes = b"evil = 1\n", **fields: object) -> bytes:
    """Write one member: its header, with ``fields`` as they are given, and its data."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    format = tarfile.GNU_FORMAT if len(name) <= 100 or "linkname" in fields else tarfile.PAX_FORMAT
    return info.tobuf(format, "utf-8", "surrogateescape") + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(kind: bytes, size: int, name: bytes = b"p-1/evil.py") -> bytes:
    """Write a bare header that says what it likes."""
    return sealed(
        name.ljust(100, b"\0")
        + b"0000644\0" + b"0000000\0" * 2
        + (b"%011o\0" % size if size >= 0 else b"\xff" + size.to_bytes(11, "big", signed=True))
        + b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar  \0"
    )  # fmt: skip


def sealed(block: bytes) -> bytes:
    """Write a valid checksum into a header."""
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:])) + block[156:]


def pax(kind: bytes = b"x", **records: str) -> bytes:
    return extended(kind, b"".join(record(key, value) for key, value in records.items()))


def extended(kind: bytes, data: bytes) -> bytes:
    return header(kind, len(data), b"PaxHeader") + padded(data)


def record(key: str, value: str) -> bytes:
    body = f" {key.replace('__', '.')}={value}\n".encode()
    length = len(body) + len(str(len(body)))
    return str(length + (len(str(length)) > len(str(len(body))))).encode() + body


FIRST = file("p-1/good.py", GOOD)
BEHIND = file("p-1/last.py", LAST)


def tar(name: str, *harm: bytes, left: Iterable[str], **said: object) -> None:
    """List a tar with one thing in its middle that is left out."""
    make = functools.partial(b"".join, [FIRST, *harm, BEHIND, END])
    HOSTILE[f"tar: {name}"] = Hostile(make, tuple(left), **said)


def ends(
    name: str, make: Callable[[], bytes], left: Iterable[str] = (DAMAGED,), **s: object
) -> None:
    """List an archive that is read no further than the harm."""
    HOSTILE[name] = Hostile(make, tuple(left), ends=True, **s)


for title, path in {
    "an absolute path": "/etc/evil.py",
    "a way up": "../evil.py",
    "a way up within": "p-1/../../evil.py",
    "dots for the top folder": "../../p-1/evil.py",
    "backslashes": "p-1\\..\\..\\evil.py",
    "a drive": "C:/evil.py",
    "a line break in a name": "p-1/evil\n.py",
    "an escape sequence in a name": "p-1/\x1b[2Jevil.py",
    "no name": "",
    "a name that is a folder": "p-1//evil.py",
    "a name of 5,000 characters": "p-1/" + "e" * 5000,
}.items():
    tar(title, file(path), left=["unsafe path"])
tar("a name that is no text", file("p-1/evil\udcff.py"), left=["undecodable name"])
tar("a NUL in a PAX name", pax(path="p-1/evil\0.py"), file("x"), left=["unsafe path"])
tar("a way up in a PAX name", pax(path="../../evil.py"), file("x"), left=["unsafe path"])
tar("a symbolic link", file("p-1/e.py", b"", type=b"2", linkname="/etc/passwd"), left=["link"])
tar("a hard link", file("p-1/e.py", b"", type=b"1", linkname="/etc/passwd"), left=["link"])
tar("a link to itself", file("p-1/e.py", b"", type=b"1", linkname="p-1/e.py"), left=["link"])
tar(
    "a file behind a link",
    file("p-1/out", b"", type=b"2", linkname="/tmp"),
    file("p-1/out/evil.py"),
    left=["link"],
    others=("out/evil.py",),
)
for title, kind in {
    "a character device": b"3", "a block device": b"4", "a FIFO": b"6", "an unknown kind": b"Z",
    "a volume label": b"V", "the rest of another volume": b"M",
}.items():  # fmt: skip
    tar(title, file("p-1/evil.py", b"", type=kind), left=["not a file"])
tar(
    "a sparse file of a terabyte",
    sealed(header(b"S", 0)[:386] + b"%011o\0" % 0 * 8 + b"\0" + b"%011o\0" % 2**32),
    left=["sparse"],
)
tar(
    "a sparse file by PAX",
    pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="999999999999"),
    file("p-1/evil.py", b"0\n".ljust(512, b"\0")),
    left=["sparse"],
)
tar(
    "a sparse map that never ends",
    pax(GNU__sparse__map="0,1," * 3000 + "0,1", GNU__sparse__size="9" * 30),
    file("p-1/evil.py"),
    left=["sparse"],
)
tar("a second file of one name", file("p-1/good.py"), left=["duplicate"])
tar("a second file outside the top folder", file("good.py"), left=["duplicate"])
tar("a second file behind a dot", file("./p-1/good.py"), left=["duplicate"])
tar("a file over the limit", file("p-1/evil.py", bytes(2 * MEGABYTE)), left=["too large"])

ends("tar: a size beyond the end", lambda: FIRST + header(b"0", 900_000) + BEHIND + END)
ends("tar: a size of eight gigabytes", lambda: FIRST + header(b"0", 8**11 - 1) + BEHIND + END,
     ["too large", DAMAGED])  # fmt: skip
ends("tar: a size below nought", lambda: FIRST + header(b"0", -512) + BEHIND + END)
ends("tar: a size that leads back to the start", lambda: header(b"0", -512) + FIRST + END,
     good=False)  # fmt: skip
ends("tar: a PAX size below nought", lambda: FIRST + pax(size="-1024") + BEHIND + END)
ends("tar: a PAX size that is no number", lambda: FIRST + pax(size="9" * 5000) + BEHIND + END,
     others=("last.py",))  # fmt: skip
ends("tar: a size that is too small", lambda: FIRST + header(b"0", 10) + bytes(b"e" * 2000) + END,
     others=("evil.py",))  # fmt: skip
ends("tar: a global PAX size", lambda: FIRST + pax(b"g", size="5000") + BEHIND + END)
ends("tar: a PAX record of no length", lambda: FIRST + extended(b"x", b"0 path=e\n") + BEHIND + END)
ends("tar: a wrong checksum", lambda: FIRST + BEHIND.replace(b"last.py", b"evil.py") + END)
ends("tar: cut in a file", lambda: FIRST + file("p-1/evil.py", bytes(5000))[:3000])
ends("tar: cut in a header", lambda: FIRST + BEHIND[:300])
ends("tar: no end", lambda: FIRST)
ends("tar: an empty file", lambda: b"", good=False)
ends("tar: noise", lambda: random.Random(3).randbytes(50_000), good=False)
ends(
    "tar: a page of a web server", lambda: b"<!DOCTYPE html><html>Not found</html>" * 50, good=False
)


# --- compressed tar --------------------------------------------------------------------


def in_gzip(*parts: bytes) -> bytes:
    """Compress each part into a stream of its own: together they are one (RFC 1952)."""
    return b"".join(gzip.compress(part, 1) for part in parts)


@functools.cache
def zeros(compress: Callable[[bytes], bytes], megabytes: int) -> bytes:
    """Return zeros, ten million a stream, so that little has to be compressed."""
    return compress(bytes(10 * MEGABYTE)) * (megabytes // 10)


def huge(compress: Callable[[bytes], bytes], start: bytes) -> bytes:
    return compress(FIRST + start) + zeros(compress, 400)


def in_xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def greedy_xz() -> bytes:
    """Return an xz stream whose header asks for a dictionary of four gigabytes."""
    data = bytearray(lzma.compress(FIRST + END, preset=0))
    size = (data[12] + 1) * 4
    assert data[14:16] == b"\x21\x01", "the block's first filter is LZMA2, with a byte of options"
    data[16] = 40
    data[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(data[12 : 12 + size - 4]))
    return bytes(data)


def flipped(data: bytes) -> bytes:
    """Spoil the last quarter of a stream."""
    start = len(data) * 3 // 4
    return data[:start] + bytes(byte ^ 0x55 for byte in data[start:])


def long_tar() -> bytes:
    noise = random.Random(5).randbytes(60_000).hex().encode()
    return FIRST + file("p-1/noise.txt", noise) + BEHIND + END


GIGABYTE_FILE = header(b"0", 1000 * MEGABYTE)
ends("gzip: a bomb", lambda: huge(in_gzip, GIGABYTE_FILE), ["too large", TOO_LARGE])
ends("bzip2: a bomb", lambda: huge(bz2.compress, GIGABYTE_FILE), ["too large", TOO_LARGE])
ends("xz: a bomb", lambda: in_xz(FIRST + GIGABYTE_FILE + bytes(100 * MEGABYTE)),
     ["too large", TOO_LARGE])  # fmt: skip
ends("xz: four gigabytes of memory", greedy_xz, good=False)
ends(
    "gzip: a PAX header of 400 MB", lambda: huge(in_gzip, header(b"x", 400 * MEGABYTE)), [TOO_LARGE]
)
ends("gzip: a global header of 400 MB", lambda: huge(in_gzip, header(b"g", 400 * MEGABYTE)),
     [TOO_LARGE])  # fmt: skip
ends("gzip: a name of 400 MB", lambda: huge(in_gzip, header(b"L", 400 * MEGABYTE)), [TOO_LARGE])
ends("gzip: a link's name of 400 MB", lambda: huge(in_gzip, header(b"K", 400 * MEGABYTE)),
     [TOO_LARGE])  # fmt: skip
ends("gzip: a sparse map of 400 MB",
     lambda: huge(in_gzip, sealed(header(b"S", 0)[:482] + b"\1" + bytes(29))
                  + (bytes(504) + b"\1" + bytes(7)) * 5000), [TOO_LARGE])  # fmt: skip
ends("gzip: 5,000 headers of one file", lambda: in_gzip(FIRST + pax(comment="c") * 5000 + END),
     [TOO_LARGE])  # fmt: skip
ends("gzip: digits to search through", lambda: in_gzip(FIRST + extended(b"x", b"1" * 14_000))
     + in_gzip(END))  # fmt: skip
ends("gzip: 60,000 links", lambda: in_gzip(FIRST, header(b"2", 0) * 60_000, END),
     ["link"] * 49_999 + [TOO_LARGE])  # fmt: skip
ends("gzip: cut", lambda: gzip.compress(long_tar())[:-30_000])
ends("gzip: spoiled", lambda: flipped(gzip.compress(long_tar())))
ends("bzip2: spoiled", lambda: flipped(bz2.compress(FIRST * 1) + bz2.compress(long_tar()[1024:])))
ends("xz: cut", lambda: lzma.compress(long_tar())[:-30_000])
ends("xz: spoiled", lambda: flipped(lzma.compress(long_tar())))
ends("gzip: within gzip", lambda: gzip.compress(gzip.compress(FIRST + END)), good=False)
ends("gzip: 200,000 empty streams", lambda: in_gzip(FIRST) + in_gzip(b"") * 200_000)
HOSTILE["gzip: 300 global headers that add up"] = Hostile(
    lambda: in_gzip(
        FIRST,
        *(
            pax(b"g", **{f"k{n}": "v" * 14_000}) + header(b"2", 0, b"p-1/l%d" % n)
            for n in range(300)
        ),
        BEHIND + END,
    ),
    ("link",) * 300,
)


# --- zip -------------------------------------------------------------------------------


def zipped(
    *added: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Write a zip with these members between the good ones."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p-1/good.py", GOOD)
        for member, data in added:
            archive.writestr(member, data, compress_type=method)
        archive.writestr("p-1/last.py", LAST)
    return buffer.getvalue()


def zip_of(name: str, left: str, *added: tuple[str | zipfile.ZipInfo, bytes], **s: object) -> None:
    HOSTILE[f"zip: {name}"] = Hostile(functools.partial(zipped, *added, **s), (left,))


def of_mode(mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("p-1/evil.py")
    info.external_attr, info.create_system = mode << 16, 3
    return info


EVIL = ("p-1/evil.py", b"evil = 1\n" * 20)


def patched(**changes: int) -> bytes:
    """Change fields of the second member, in the directory and, for ``both``, before its data."""
    data = bytearray(zipped(EVIL))
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    local = data.index(b"PK\3\4", 4)
    places = {
        "flags": (8, 6, "<H"), "method": (10, 8, "<H"), "crc": (16, 14, "<I"),
        "packed": (20, 18, "<I"), "size": (24, 22, "<I"), "offset": (42, None, "<I"),
    }  # fmt: skip
    for field, value in changes.items():
        in_entry, in_local, form = places[field]
        struct.pack_into(form, data, entry + in_entry, value)
        if in_local is not None:
            struct.pack_into(form, data, local + in_local, value)
    return bytes(data)


def renamed(old: bytes, new: bytes) -> bytes:
    """Change a name where the directory has it, and where it stands before the data."""
    assert len(old) == len(new)
    return zipped(EVIL).replace(old, new)


def lying_bomb() -> bytes:
    """Return a member that says ten bytes, and becomes fifty million."""
    data = zipped(("p-1/evil.py", bytes(50 * MEGABYTE)))
    return data.replace(struct.pack("<I", 50 * MEGABYTE), struct.pack("<I", 10))


def quoting() -> bytes:
    """Return two members, the first of which says that it holds the second, header and all."""
    return patched(packed=len(zipped(EVIL)) // 4, method=0, size=len(zipped(EVIL)) // 4)


def crowded(count: int) -> bytes:
    """Return a zip whose directory names one file very often."""
    data = zipped()
    start = data.index(b"PK\1\2")
    entry = data[start : data.index(b"PK\1\2", start + 4)]
    directory = entry * count
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), start, 0)
    return data[:start] + directory + tail


def zip64_size() -> bytes:
    """Return a zip whose member says by its extra field that it is 2**63 bytes long."""
    info = zipfile.ZipInfo("p-1/evil.py")
    info.extra = struct.pack("<HHQ", 1, 8, 2**63)
    data = zipped((info, b"evil = 1\n"))
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    return data[: entry + 24] + b"\xff\xff\xff\xff" + data[entry + 28 :]


def with_tail(**changes: int) -> bytes:
    """Change what the end of a zip says of its directory."""
    data = bytearray(zipped(EVIL))
    tail = data.rindex(b"PK\5\6")
    for field, value in changes.items():
        struct.pack_into("<I", data, tail + {"size": 12, "offset": 16}[field], value)
    return bytes(data)


def packed_zeros() -> bytes:
    return zipped(*((f"p-1/zeros{n}.txt", bytes(MEGABYTE)) for n in range(80)))


zip_of("an absolute path", "unsafe path", ("/etc/evil.py", b"evil"))
zip_of("a way up", "unsafe path", ("../../evil.py", b"evil"))
zip_of("a way up within", "unsafe path", ("p-1/../../evil.py", b"evil"))
zip_of("backslashes", "unsafe path", ("p-1\\..\\..\\evil.py", b"evil"))
zip_of("a drive", "unsafe path", ("C:/evil.py", b"evil"))
zip_of("a symbolic link", "link", (of_mode(0o120777), b"/etc/passwd"))
zip_of("a device", "not a file", (of_mode(0o060666), b""))
zip_of("a socket", "not a file", (of_mode(0o140666), b""))
zip_of("bzip2 within", "compression method", EVIL, method=zipfile.ZIP_BZIP2)
zip_of("LZMA within", "compression method", EVIL, method=zipfile.ZIP_LZMA)
zip_of("a bomb", "too large", ("p-1/evil.py", bytes(50 * MEGABYTE)))
for title, make, reason in (
    ("a NUL in a name", lambda: renamed(b"p-1/evil.py", b"p-1/e.py\0vi"), "unsafe path"),
    ("a second file of one name", lambda: renamed(b"p-1/evil.py", b"p-1/good.py"), "duplicate"),
    ("an encrypted file", lambda: patched(flags=1), "encrypted"),
    ("a strongly encrypted file", lambda: patched(flags=0x41), "encrypted"),
    ("an unknown method", lambda: patched(method=99), "compression method"),
    ("a method that is not the file's", lambda: patched(method=0), "damaged"),
    ("a wrong checksum", lambda: patched(crc=1), "damaged"),
    ("a size too small", lambda: patched(size=10), "damaged"),
    ("a size too large", lambda: patched(size=900_000), "damaged"),
    ("a size of four gigabytes", lambda: patched(size=2**32 - 2), "too large"),
    ("a size of 2**63", zip64_size, "too large"),
    ("a file beyond the end", lambda: patched(offset=2**31), "damaged"),
    ("a file that holds another", quoting, "overlap"),
    ("a bomb that lies", lying_bomb, "damaged"),
    ("another name before its data", lambda: renamed(b"p-1/evil.py", b"p-1/evil.py").replace(
        b"p-1/evil.py", b"p-1/good.pz", 1), "damaged"),
):  # fmt: skip
    HOSTILE[f"zip: {title}"] = Hostile(make, (reason,))
ends("zip: a directory of 200,000 files", lambda: crowded(200_000), [TOO_LARGE], good=False)
ends("zip: a directory larger than the file", lambda: with_tail(size=2**31), good=False)
ends(
    "zip: a directory beyond the end", lambda: with_tail(offset=2**31), ["damaged"] * 3, good=False
)
HOSTILE["zip: a file that is another's"] = Hostile(
    lambda: patched(offset=0), ("overlap", "damaged"), good=False
)
ends("zip: cut", lambda: zipped(EVIL)[:-40], good=False)
ends("zip: a directory of noise",
     lambda: zipped(EVIL).replace(b"PK\1\2", b"PKxx"), good=False)  # fmt: skip
