"""Crawl one revision of a git repository, out of a bare clone: no file of it is checked out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from workbench.cancel import cancelled
from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.clones import (
    DamagedClone,
    Objects,
    Remote,
    TreeEntry,
    entries_of,
)
from workbench.corpus.entries import Skip, check_path, limit_of, make_document, read_text
from workbench.corpus.git_address import parse_address
from workbench.corpus.licences import Licences, header_licence, is_licence_file
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.types import Document

MAX_ENTRIES = 2_000_000
"""Most entries of one tree. The largest public ones have 500,000; a few objects that name each
other can make as many as one likes."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


class GitRepository:
    """The text files of one revision of a repository.

    The clone is kept below ``settings().home / "clones"``: a full commit id that is there needs
    no network. Links, submodules and pointers to Git LFS are counted and not followed; paths are
    those from the top of the repository, with a ``#SUBDIR`` too.
    """

    def __init__(self, argument: str, *, caps: Caps = DEFAULT_CAPS) -> None:
        """Point at ``URL@REV[#SUBDIR]``; ask the server for the commit of a branch or a tag.

        Raises:
            BadInput: the address is malformed or not safe, or has no such revision.
            WorkbenchError: git is not installed, the server cannot be asked, or the workbench
                is offline.
        """
        address = parse_address(argument)
        self._address = address
        self._caps = caps
        self._remote = Remote(address, caps)
        self.source = address.source
        self.revision = self._remote.resolve()
        self.skipped: Counter[str] = Counter()

    def crawl(self) -> Iterator[Document]:
        """Yield documents in the order of their paths' bytes; fetch the clone first.

        A clone that turns out to be damaged is fetched again, and the crawl goes on where it was.

        Raises:
            BadInput: the revision has no such folder.
            WorkbenchError: the clone cannot be fetched or read.
            InUse: another process is fetching it.
        """
        self.skipped.clear()
        walk = _Walk(self._address.subdir, self._caps)
        for attempt in (1, 2):
            clone = self._remote.clone(self.revision)
            try:
                yield from self._read(clone, walk)
            except DamagedClone:
                if attempt == 2:
                    raise WorkbenchError(
                        f"The clone of {self._address.label} cannot be read.",
                        "The repository may be damaged: check it with git fsck.",
                    ) from None
                self._remote.discard(self.revision)
            else:
                return

    def _read(self, clone: Path, walk: _Walk) -> Iterator[Document]:
        """Yield the documents from where the walk stands."""
        with Objects(clone) as objects:
            licences = self._licences(clone, objects)
            entries = islice(entries_of(clone, self.revision), walk.position, None)
            for entry in walk.within(entries, self.skipped):
                try:
                    text = self._text(entry, walk, objects)
                except Skip as skip:
                    walk.pass_by(entry)
                    self.skipped[str(skip)] += 1
                    continue
                walk.pass_by(entry)
                yield make_document(
                    entry.path,
                    text,
                    source=self.source,
                    revision=self.revision,
                    license=header_licence(text) or licences.of(entry.path),
                )
        walk.check_found(self._address.label)

    def _licences(self, clone: Path, objects: Objects) -> Licences:
        """Read the licence files of the whole tree: one above a folder holds for it too."""
        licences = Licences()
        walk = _Walk("", self._caps)
        for entry in walk.within(entries_of(clone, self.revision), Counter()):
            walk.pass_by(entry)
            if entry.kind == "file" and is_licence_file(entry.path):
                try:
                    check_path(entry.path)
                    licences.see(entry.path, _text_of(entry, objects))
                except Skip:
                    continue
        return licences

    @staticmethod
    def _text(entry: TreeEntry, walk: _Walk, objects: Objects) -> str:
        """Return the text of an entry, or raise Skip."""
        if entry.kind != "file":
            raise Skip(entry.kind)
        check_path(walk.shorten(entry.path))
        if not walk.is_in_order(entry):
            raise Skip("malformed tree")
        return _text_of(entry, objects)


class _Walk:
    """Where a crawl stands in a tree, so that it can go on there from another clone."""

    def __init__(self, subdir: str, caps: Caps) -> None:
        self.position = 0
        self._prefix = f"{subdir}/" if subdir else ""
        self._found = False
        self._greatest = b""
        self._caps = caps
        self._deadline = time.monotonic() + caps.seconds

    def within(self, entries: Iterator[TreeEntry], skipped: Counter[str]) -> Iterator[TreeEntry]:
        """Yield the entries below the folder, as long as there is time.

        Raises:
            Cancelled: nobody waits for them any more.
        """
        prefix = self._prefix.encode()
        for entry in entries:
            if cancelled():
                raise Cancelled("The crawl was stopped.", "Call it again.")
            if time.monotonic() > self._deadline:
                skipped[self._caps.beyond_seconds] += 1
                self._found = True
                return
            if self.position >= MAX_ENTRIES:
                skipped["too many entries"] += 1
                return
            if entry.raw.startswith(prefix):
                self._found = True
                yield entry
            else:
                self.position += 1

    def pass_by(self, entry: TreeEntry) -> None:
        """Take note that an entry is done with."""
        self.position += 1
        self._greatest = max(self._greatest, entry.raw)

    def is_in_order(self, entry: TreeEntry) -> bool:
        """Say whether the entry comes after all before; of two of one name the second does not."""
        return entry.raw > self._greatest

    def shorten(self, path: str) -> str:
        """Return the path below the folder that was asked for, which may be a hidden one."""
        return path.removeprefix(self._prefix)

    def check_found(self, label: str) -> None:
        """Raise BadInput where nothing lies below the folder."""
        if self._prefix and not self._found:
            raise BadInput(
                f"There is no folder '{self._prefix[:-1]}' in this revision of {label}.",
                "Write a path from the top of the repository, as #src/package.",
            )


def _text_of(entry: TreeEntry, objects: Objects) -> str:
    if entry.size > limit_of(entry.path):
        raise Skip("too large")
    data = objects.blob(entry)
    if data.startswith(_LFS_POINTER):
        raise Skip("pointer to Git LFS")
    return read_text(entry.path, data)
