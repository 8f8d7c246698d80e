"""Get one file over HTTP, so that an interruption anywhere costs nothing that already came.

``NAME.part`` is always a prefix of the file: bytes are appended as they arrive, and the next call
asks for the rest (RFC 9110, section 14: Range and If-Range). A server that does not know ranges
sends the whole file again, and the prefix is thrown away.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path

import httpx2

from workbench.errors import WrongHash
from workbench.weights.remote import Advance, Remote, Unavailable

log = logging.getLogger(__name__)

TRIES = 5
FIRST_PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 60.0


class _Interrupted(Exception):
    """The transfer broke; what came is kept, and asking again may help."""


def download(client: httpx2.Client, remote: Remote, folder: Path, advance: Advance) -> Path:
    """Bring ``remote`` into ``folder`` and return its path there.

    ``advance`` hears the bytes that are there already, then those that arrive; a negative number
    where a prefix had to be thrown away. A file that is complete is not asked for again.

    Raises:
        Unavailable: the server refuses, or has gone.
        WrongHash: the server sends a file other than it promised; it was thrown away.
        OSError: the disk is full or cannot be written.
    """
    target = folder / remote.name
    if target.exists():
        advance(target.stat().st_size)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{remote.name}.part"
    resumed = part.exists()
    advance(_size(part))
    _insist(client, remote, part, advance)
    if not keeps_promise(remote.hashes, part):
        advance(-_size(part))
        forget(part)
        if resumed:  # the file may have changed between the two calls
            return download(client, remote, folder, advance)
        raise WrongHash(f"{remote.name} is not the file that was promised.")
    part.replace(target)
    _etag_path(part).unlink(missing_ok=True)
    return target


def bytes_here(remote_name: str, folder: Path) -> int:
    """Count the bytes of a file that an earlier call left in ``folder``."""
    return _size(folder / remote_name) or _size(folder / f"{remote_name}.part")


def forget(part: Path) -> None:
    """Remove a prefix and what is known about it."""
    part.unlink(missing_ok=True)
    _etag_path(part).unlink(missing_ok=True)


def _insist(client: httpx2.Client, remote: Remote, part: Path, advance: Advance) -> None:
    """Ask until the file is complete, or until several tries in a row brought nothing."""
    idle = 0
    while True:
        before = _size(part)
        try:
            return _continue(client, remote, part, advance)
        except (_Interrupted, httpx2.HTTPError) as error:
            idle = 0 if _size(part) > before else idle + 1
            if idle == TRIES:
                raise Unavailable(f"{remote.name}: {_cause(error)}") from error
            log.info("%s: %s; trying again", remote.name, _cause(error))
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** min(idle, 4))
        except httpx2.InvalidURL as error:
            raise Unavailable(f"{remote.name}: {_cause(error)}") from error


def _continue(client: httpx2.Client, remote: Remote, part: Path, advance: Advance) -> None:
    """Ask for what is missing and append it, in one request."""
    have = _size(part)
    # What is stored must be the file's own bytes, or offsets would mean nothing.
    headers = {"Accept-Encoding": "identity", **remote.headers}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _etag_path(part).exists():
            headers["If-Range"] = _etag_path(part).read_text()
    with client.stream(
        "GET", remote.url, headers=headers, follow_redirects=True, timeout=TIMEOUT_SECONDS
    ) as response:
        if response.status_code == 416 and _total(response) == have:
            return
        resumed = response.status_code == 206 and _start(response) == have
        if response.status_code not in (200, 206, 416):
            _refuse(remote, response)
        if have and not resumed:
            forget(part)
            advance(-have)
        if response.status_code == 416 or (response.status_code == 206 and not resumed):
            raise _Interrupted("the server sent another range than the one asked for")
        if not resumed:
            _remember_etag(part, response)
        with part.open("ab") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                advance(len(chunk))
        total = _total(response)
    if total is not None and _size(part) != total:
        raise _Interrupted(f"{_size(part)} of {total} bytes came")


def _refuse(remote: Remote, response: httpx2.Response) -> None:
    cause = f"{remote.name}: the server answered {response.status_code}"
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise _Interrupted(cause)
    raise Unavailable(cause)


def _total(response: httpx2.Response) -> int | None:
    """Return the size of the whole file, where the response tells it."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
    else:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


def _start(response: httpx2.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _remember_etag(part: Path, response: httpx2.Response) -> None:
    """Keep a strong validator for If-Range; a weak one may not stand there (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        _etag_path(part).write_text(etag)


def _etag_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def keeps_promise(hashes: Iterable[tuple[str, str]], path: Path) -> bool:
    """Tell whether a file has all the hashes (algorithm, hex digest) promised for it."""
    for algorithm, promised in hashes:
        with path.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() != promised.lower():
                return False
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
