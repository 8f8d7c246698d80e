"""Crawl the source distribution of a package, from the index that pip is configured with."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version
from unearth.fetchers import PyPIClient

from workbench.cancel import cancelled
from workbench.corpus.archives import LeftOut, Member, members
from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.entries import Skip, make_document, read_text
from workbench.corpus.licences import (
    Licences,
    canonical_licence,
    identify_licence,
    is_licence_file,
)
from workbench.errors import BadInput, Cancelled, WorkbenchError, WrongHash
from workbench.locks import exclusive
from workbench.progress import bar
from workbench.settings import settings
from workbench.types import Document
from workbench.weights.archives import sha256_of
from workbench.weights.download import download, forget, keeps_promise
from workbench.weights.index import Offer, PipSettings, open_client, pip_settings
from workbench.weights.index import offers as offers_of
from workbench.weights.remote import Advance, Local, Remote, Unavailable

MAX_ARGUMENT = 200
"""Longest name with its version; it becomes the name of a folder."""
WAIT_SECONDS = 120.0
METADATA = "PKG-INFO"
SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".zip")
"""What the file of a source distribution may end in, the likeliest first."""

# The trove classifiers that name one licence. Others, as "BSD License", leave open which.
_CLASSIFIERS = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
    "Zope Public License": "ZPL-2.1",
}


class SourceDistribution:
    """The text files of a package's source distribution (sdist, PEP 517 and 625).

    The archive is kept in ``settings().home / "downloads"`` with its SHA-256: a version that is
    pinned and lies there needs no network. It is read as it is, never unpacked, built or run.
    What is no part of the source (``PKG-INFO``, ``*.egg-info/``, ``build/``) is left out.
    """

    def __init__(self, argument: str, *, caps: Caps = DEFAULT_CAPS) -> None:
        """Point at ``NAME`` or ``NAME==VERSION``; without a version, ask for the newest.

        Raises:
            BadInput: it is neither of these, or no index has a source distribution of it.
            WorkbenchError: no version is named, and the index cannot be asked.
        """
        self._name, pinned = parse_argument(argument)
        self._caps = caps
        self._offers: list[Offer] | None = None
        if pinned is None:
            with _open_index(self._name) as configured:
                self._offers = find_sources(configured, self._name)
            pinned = Version(self._offers[0].version)
        self._version = pinned
        self.source = f"pypi:{self._name}"
        self.revision = str(pinned)
        self.skipped: Counter[str] = Counter()

    def crawl(self) -> Iterator[Document]:
        """Yield documents in the order of the archive, which is downloaded unless it is here.

        Raises:
            BadInput: no index has a source distribution of this version.
            WorkbenchError: the archive is not here and cannot be downloaded.
            WrongHash: it is not the one that the index promised; it was thrown away.
            InUse: another process is downloading it.
        """
        self.skipped.clear()
        archive = self._fetch()
        licences = _Licensing(archive, self._caps)
        for entry in members(archive, self._caps):
            try:
                if isinstance(entry, LeftOut):
                    raise Skip(entry.reason)
                text = _text_of(entry)
            except Skip as skip:
                self.skipped[str(skip)] += 1
            else:
                yield make_document(
                    entry.path,
                    text,
                    source=self.source,
                    revision=self.revision,
                    license=licences.of(entry.path),
                )

    def _fetch(self) -> Path:
        """Return the archive, from the disk or else from the index."""
        label = f"{self._name}-{self._version}"
        folder = settings().home / "downloads" / "pypi" / label
        if (kept := _kept(folder)) is not None:
            return kept
        try:
            with _open_index(f"{self._name}=={self._version}") as configured:
                offers = self._offers or find_sources(configured, self._name, self._version)
                with exclusive(folder, f"{label} is being downloaded", wait=WAIT_SECONDS):
                    return _kept(folder) or _bring(configured, label, offers, folder, self._caps)
        except OSError as error:
            raise WorkbenchError(
                f"{label} cannot be kept: {error.strerror or error}.",
                "Free some space, or set WORKBENCH_HOME to another folder.",
            ) from error


def parse_argument(argument: str) -> tuple[str, Version | None]:
    """Return the name, normalised (PEP 503), and the version (PEP 440) or None.

    Raises:
        BadInput: the name or the version is malformed.
    """
    name, pinned, version = (part.strip() for part in argument.partition("=="))
    try:
        if len(argument) > MAX_ARGUMENT or not argument.isascii():
            raise InvalidName(argument)
        normalised = canonicalize_name(name, validate=True)
        return str(normalised), Version(version) if pinned else None
    except (InvalidName, InvalidVersion):
        shown = argument if len(argument) <= MAX_ARGUMENT else f"{argument[:MAX_ARGUMENT]}..."
        raise BadInput(
            f"'{shown}' names no package of a package index.",
            "Write pypi:NAME or pypi:NAME==VERSION, as pypi:tenacity==9.0.0.",
        ) from None


@dataclass(frozen=True, slots=True)
class Index:
    """What pip is configured with, and a client that may ask there."""

    pip: PipSettings
    client: PyPIClient


@contextlib.contextmanager
def _open_index(requirement: str) -> Iterator[Index]:
    if settings().offline:
        where = "" if "==" in requirement else ", or name a version that is (pypi:NAME==VERSION)"
        raise WorkbenchError(
            f"The source distribution of {requirement} is not here, and WORKBENCH_OFFLINE is set.",
            f"Unset it{where}.",
        )
    pip = pip_settings()
    with open_client(pip, sign_in=True) as client:
        yield Index(pip, client)


def find_sources(configured: Index, name: str, version: Version | None = None) -> list[Offer]:
    """Return where the source distribution of ``version`` is, or of the newest one that has any.

    A pre-release counts as new only where there is nothing else, and what was yanked only where
    it is named.

    Raises:
        BadInput: no index has it.
        WorkbenchError: no index can be asked.
    """
    requirement = name if version is None else f"{name}=={version}"
    try:
        found = offers_of(configured.client, configured.pip, requirement)
    except Unavailable as error:
        raise _not_to_be_had(requirement, str(error)) from error
    if not found:
        raise BadInput(
            f"{requirement} is not on the package index.", f"Look at: pip index versions {name}"
        )
    sources = [offer for offer in found if _suffix(offer.file)]
    if version is not None:
        sources = [offer for offer in sources if Version(offer.version) == version]
    if not sources:
        raise BadInput(
            f"The package index has no source distribution of {requirement}.",
            "Name another version, or crawl its repository: git:URL@REV.",
        )
    best = max(_age(offer) for offer in sources)
    return sorted(
        (offer for offer in sources if _age(offer) == best),
        key=lambda offer: (isinstance(offer.place, Remote), SUFFIXES.index(_suffix(offer.file))),
    )


def _age(offer: Offer) -> tuple[bool, Version]:
    version = Version(offer.version)
    return not version.is_prerelease, version


def _suffix(file: str) -> str:
    """Return what the file of a source distribution ends in, "" for any other file."""
    return next((suffix for suffix in SUFFIXES if file.endswith(suffix)), "")


# --- the archive on disk ---------------------------------------------------------------


def _kept(folder: Path) -> Path | None:
    """Return the archive that an earlier call left in ``folder``, if it is whole."""
    for digest in folder.glob("*.sha256"):
        archive = digest.with_suffix("")
        try:
            if sha256_of(archive, lambda _: None) == digest.read_text(encoding="ascii"):
                return archive
        except (OSError, ValueError):
            continue
    return None


def _bring(configured: Index, label: str, offers: list[Offer], folder: Path, caps: Caps) -> Path:
    """Download the first of the offers that is to be had, and note its SHA-256."""
    refused: list[Unavailable | WrongHash] = []
    for offer in offers:
        target = folder / f"{label}{_suffix(offer.file)}"
        target.unlink(missing_ok=True)  # it is damaged, or its digest would be there
        try:
            with bar(desc=label, unit="B") as shown:
                _copy(configured.client, offer.place, target, _capped(label, caps, shown.update))
        except (Unavailable, WrongHash) as error:
            refused.append(error)
            continue
        except BadInput:
            forget(target.with_name(f"{target.name}.part"))
            raise
        digest = sha256_of(target, lambda _: None)
        target.with_name(f"{target.name}.sha256").write_text(digest, encoding="ascii")
        return target
    if any(isinstance(error, WrongHash) for error in refused):
        raise WrongHash(
            f"The archive of {label} is not the one that the package index promised; it was "
            "thrown away.",
            "Try again; if that does not help, name another version.",
        )
    raise _not_to_be_had(label, str(refused[0]))


def _copy(client: PyPIClient, place: Local | Remote, target: Path, advance: Advance) -> None:
    """Bring an archive to ``target``; what a break leaves of a download is used the next time."""
    if isinstance(place, Remote):
        remote = Remote(place.url, target.name, place.hashes)
        download(client, remote, target.parent, advance)
        return
    advance(place.path.stat().st_size)
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(place.path, part)
    if not keeps_promise(place.hashes, part):
        part.unlink()
        raise WrongHash(f"{place.path.name} is not the file that was promised.")
    part.replace(target)


def _capped(label: str, caps: Caps, advance: Advance) -> Advance:
    """Return an ``advance`` that ends a download beyond the cap, or that nobody waits for."""
    came = 0

    def count(size: int) -> None:
        nonlocal came
        came += size
        if cancelled():
            raise Cancelled(f"The download of {label} was stopped.", "Call it again: it goes on.")
        if came > caps.bytes:
            raise BadInput(
                f"The archive of {label} is larger than the cap of {caps.bytes:,} bytes.",
                "Raise the cap, or name another package.",
            )
        advance(size)

    return count


def _not_to_be_had(what: str, cause: str) -> WorkbenchError:
    return WorkbenchError(
        f"The source distribution of {what} is not to be had: {cause.rstrip('.')}.",
        "Look at the network and at: pip config list",
    )


# --- what is in it ---------------------------------------------------------------------


def _text_of(member: Member) -> str:
    """Return a file's text; raise Skip where it is none, or no part of the source."""
    parts = PurePosixPath(member.path).parts
    if (
        parts[-1] == METADATA
        or parts[0] == "build"
        or any(part.endswith(".egg-info") for part in parts[:-1])
    ):
        raise Skip("build product")
    return read_text(member.path, member.data)


class _Licensing:
    """The licence of each file: as the package declares it, or as the nearest text has it."""

    def __init__(self, archive: Path, caps: Caps) -> None:
        """Read the archive once, for the metadata and the licence texts alone."""
        self._declared: str | None = None
        self._licences = Licences()

        def wanted(path: str) -> bool:
            return path == METADATA or is_licence_file(path)

        for entry in members(archive, caps, wanted=wanted):
            if isinstance(entry, LeftOut):
                continue
            if entry.path == METADATA:
                self._declared = declared_licence(entry.data)
                continue
            try:
                self._licences.see(entry.path, read_text(entry.path, entry.data))
            except Skip:
                continue

    def of(self, path: str) -> str | None:
        """Return the SPDX expression of a file, or None where it is not known."""
        return self._declared or self._licences.of(path)


def declared_licence(metadata: bytes) -> str | None:
    """Return the SPDX expression that core metadata declares, or None where they leave it open.

    ``License-Expression`` (PEP 639) counts first, then the classifiers, where they name one
    licence, then ``License``, where it is an SPDX expression or a licence's text.
    """
    # packaging.metadata.parse_email takes the square of the number of fields: minutes for a hostile
    # megabyte.
    fields = HeaderParser().parsestr(metadata.decode(errors="replace"))
    if expression := canonical_licence(fields.get("License-Expression", "").strip()):
        return expression
    named = [
        classifier.rpartition(" :: ")[2].strip()
        for classifier in fields.get_all("Classifier", [])
        if classifier.startswith("License :: ") and classifier != "License :: OSI Approved"
    ]
    if len(named) == 1 and named[0] in _CLASSIFIERS:
        return _CLASSIFIERS[named[0]]
    text = fields.get("License", "").strip()
    return canonical_licence(text) or identify_licence(text)
