"""Where indexes lie on disk, how a finished one is told from a half-made or damaged one.

``indexes/<corpus>/<embedder>-<key>/`` holds builds, each in a folder of its own with a name that
was never used before, and ``current``, which names the one to open. A build is finished when
``current`` names it; the step from one to the next is the renaming of that small file. The key
is made of the embedder's and the chunker's fingerprints, so that vectors never mix.

``current`` repeats the build's ``meta.json``, which holds the hashes of all its files, and both
hold their own: where one of the two is damaged, the other says what the build was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from workbench.durable import point, replace_durably, write_durably
from workbench.errors import BadInput, WorkbenchError
from workbench.locks import exclusive
from workbench.retrieval.scratch import sha256
from workbench.retrieval.text import TEXT_VERSION
from workbench.settings import settings

CHUNKS = "chunks.sqlite"
BM25 = "bm25"
VECTORS = "vectors.npy"
CHROMA = "chroma"
META = "meta.json"

_BUILD_NAME = re.compile(r"build-[0-9a-f]{12}")
_CORPUS_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_WAIT_SECONDS = 1.0

# Threads of one process wait for each other here; the lock on disk is for other processes.
_threads: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index was built from, with what, and what it cost.

    ``encoded`` of its ``chunks`` were embedded by this build; the vectors of the others were in
    the cache. ``seconds`` are by step and in all, ``bytes`` those on disk, ``built`` is UTC.
    ``server`` is the Chroma server that keeps the vectors, None where files do. ``changes``
    counts the vectors that were put into or taken out of Chroma's graph since it was built whole.
    """

    corpus: str
    corpus_digest: str
    embedder: str
    fingerprint: str
    chunker: str
    text_version: str
    chunks: int
    dimensions: int
    encoded: int
    seconds: dict[str, float]
    bytes: int
    built: str
    versions: dict[str, str]
    server: str | None = None
    changes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.corpus}: {self.chunks:,} chunks, embedder {self.embedder},"
            f" built in {self.seconds['total']:.1f} s ({self.encoded:,} embedded)"
        )


@dataclass(frozen=True, slots=True)
class Meta:
    """A build's name, what it is, and size and sha256 of each of its files by relative path."""

    build: str
    info: IndexInfo
    files: dict[str, tuple[int, str]]

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of the files."""
        return {name: hash_ for name, (_, hash_) in self.files.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one corpus, embedder and chunker."""

    folder: Path

    @classmethod
    def of(
        cls, corpus: str, embedder: str, fingerprint: str, chunker: str, server: str | None = None
    ) -> Place:
        """Return the place of an index, whether it was built or not.

        Raises:
            BadInput: the corpus's name cannot be a folder's name.
        """
        parts = (fingerprint, chunker, TEXT_VERSION, *([server] if server else []))
        key = hashlib.sha256("\n".join(parts).encode())
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", embedder)[-60:].strip("-.")
        return cls(corpus_folder(corpus) / f"{slug}-{key.hexdigest()[:12]}")

    def current(self) -> Meta | None:
        """Return what the finished build is, None where there is none.

        Where ``current`` cannot be read, it is the latest build that was written to its end.
        """
        meta = read_meta(self.folder / "current")
        if meta is not None:
            return meta
        whole = [read_meta(path) for path in self.folder.glob(f"build-*/{META}")]
        return max((one for one in whole if one), key=lambda one: one.info.built, default=None)

    def path(self, meta: Meta) -> Path:
        """Return the folder of a build."""
        return self.folder / meta.build

    @contextlib.contextmanager
    def new_build(self, remove: Callable[[Path], None]) -> Iterator[Path]:
        """Hand out an empty folder, and make it the current build where nothing is raised.

        It must have got its ``meta.json``. The build before stays until the next one, as it may
        be open somewhere; older ones and what crashed builds left are removed. ``remove`` is
        called before, to remove what a build has outside its folder. Call it under ``exclusive``.
        """
        build = self.folder / f"build-{secrets.token_hex(6)}"
        build.mkdir(parents=True)
        before = self.current()
        try:
            yield build
            replace_durably(self.folder / "current", (build / META).read_bytes())
        except BaseException:
            _remove_builds([build], remove)
            raise
        point("index.swap")
        keep = {build.name, before.build if before else ""}
        _remove_builds(
            [other for other in self.folder.glob("build-*") if other.name not in keep], remove
        )

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the right to build here; a process that dies lets go of it.

        Raises:
            InUse: another process holds it; says which, within two seconds.
        """
        what = f"The index {self.folder.parent.name} is being built"
        with _threads[self.folder], exclusive(self.folder, what, wait=_WAIT_SECONDS):
            yield


def corpus_folder(corpus: str) -> Path:
    """Return the folder of a corpus's indexes.

    Raises:
        BadInput: the name cannot be a folder's name.
    """
    if not _CORPUS_NAME.fullmatch(corpus):
        raise BadInput(
            f"'{corpus}' cannot name a corpus.", "Use letters, digits, dots, dashes, underscores."
        )
    return settings().indexes / corpus


def _remove_builds(builds: list[Path], remove: Callable[[Path], None]) -> None:
    for build in builds:
        # A server that does not answer now is asked again by the next build.
        with contextlib.suppress(WorkbenchError):
            remove(build)
            shutil.rmtree(build, ignore_errors=True)


def write_meta(build: Path, info: IndexInfo) -> None:
    """Write what the build is and the sizes and hashes of its files, as its last file."""
    files = {
        path.relative_to(build).as_posix(): (path.stat().st_size, sha256(path))
        for path in sorted(build.rglob("*"))
        if path.is_file()
    }
    table: dict[str, object] = {"build": build.name, "info": asdict(info), "files": files}
    table["sha256"] = _digest(table)
    write_durably(build / META, json.dumps(table, indent=1))


def read_meta(path: Path) -> Meta | None:
    """Return what a build's ``meta.json``, or ``current``, says; None where it is damaged."""
    try:
        table = json.loads(path.read_bytes())
        if table.pop("sha256") != _digest(table) or not _BUILD_NAME.fullmatch(table["build"]):
            return None
        info = {
            field.name: table["info"][field.name]
            for field in fields(IndexInfo)
            if field.name in table["info"] or field.default is MISSING
        }
        files = {name: (size, hash_) for name, (size, hash_) in table["files"].items()}
        if any(".." in Path(name).parts or Path(name).is_absolute() for name in files):
            return None  # no file of a build lies outside it
        return Meta(table["build"], IndexInfo(**info), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def damaged_files(build: Path, meta: Meta) -> list[str]:
    """Return the files of a build that are missing or not, byte for byte, as they were written.

    All are read: 0.04 s for the standard library by static vectors, in threads as hashing lets
    go of the interpreter.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        right = pool.map(lambda name: is_as_written(build, meta, name), meta.files)
        wrong = [name for name, good in zip(meta.files, right, strict=True) if not good]
    return wrong if read_meta(build / META) == meta else [*wrong, META]


def is_as_written(build: Path, meta: Meta, name: str) -> bool:
    """Say whether one file of a build is there, byte for byte."""
    size, hash_ = meta.files[name]
    try:
        return (build / name).stat().st_size == size and sha256(build / name) == hash_
    except OSError:
        return False


def snapshot(build: Path, meta: Meta) -> dict[str, tuple[int, int]]:
    """Return size and time of change of a build's files: equal ones need no second look."""
    found = {}
    for name in (*meta.files, META):
        with contextlib.suppress(OSError):
            state = (build / name).stat()
            found[name] = (state.st_size, state.st_mtime_ns)
    return found


def _digest(table: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
