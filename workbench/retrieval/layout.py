"""Where indexes lie on disk, how a finished one is told from a half-made or damaged one.

``indexes/<corpus>/<embedder>-<key>/`` holds builds, each in a folder of its own with a name that
was never used before, and ``current``, which names the one to open. A build is finished when
``current`` names it; the step from one to the next is the renaming of that small file. The key
is made of the embedder's and the chunker's fingerprints, so that vectors never mix.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from workbench.durable import write_durably
from workbench.errors import BadInput
from workbench.locks import exclusive
from workbench.retrieval.embedding_cache import is_sound
from workbench.retrieval.text import TEXT_VERSION
from workbench.settings import settings

CHUNKS = "chunks.sqlite"
BM25 = "bm25"
CHROMA = "chroma"
# Chroma writes to its database at each opening, to no other file.
_CHANGED_BY_OPENING = f"{CHROMA}/chroma.sqlite3"

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

    def __str__(self) -> str:
        return (
            f"{self.corpus}: {self.chunks:,} chunks, embedder {self.embedder},"
            f" built in {self.seconds['total']:.1f} s ({self.encoded:,} embedded)"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one corpus, embedder and chunker."""

    folder: Path

    @classmethod
    def of(cls, corpus: str, embedder: str, fingerprint: str, chunker: str) -> Place:
        """Return the place of an index, whether it was built or not.

        Raises:
            BadInput: the corpus's name cannot be a folder's name.
        """
        key = hashlib.sha256("\n".join((fingerprint, chunker, TEXT_VERSION)).encode())
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", embedder)[-60:].strip("-.")
        return cls(corpus_folder(corpus) / f"{slug}-{key.hexdigest()[:12]}")

    def current(self) -> Path | None:
        """Return the folder of the finished build, None where there is none."""
        try:
            name = (self.folder / "current").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return self.folder / name if _BUILD_NAME.fullmatch(name) else None

    @contextlib.contextmanager
    def new_build(self) -> Iterator[Path]:
        """Hand out an empty folder, and make it the current build where nothing is raised.

        The build before it stays until the next one, as it may be open somewhere; older ones and
        what crashed builds left are removed. Call it under ``exclusive``.
        """
        build = self.folder / f"build-{secrets.token_hex(6)}"
        build.mkdir(parents=True)
        before = self.current()
        try:
            yield build
            part = self.folder / "current.part"
            write_durably(part, build.name)
            part.replace(self.folder / "current")
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise
        for other in self.folder.glob("build-*"):
            if other not in (build, before):
                shutil.rmtree(other, ignore_errors=True)

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


def write_meta(build: Path, info: IndexInfo) -> None:
    """Write what the build is and the sizes and hashes of its files, as its last file."""
    files = {
        path.relative_to(build).as_posix(): [path.stat().st_size, _sha256(path)]
        for path in sorted(build.rglob("*"))
        if path.is_file()
    }
    meta = {"info": asdict(info), "files": files}
    write_durably(build / "meta.json", json.dumps(meta, indent=1))


def read_info(build: Path) -> IndexInfo | None:
    """Return what a build is, None where that cannot be read."""
    try:
        table = json.loads((build / "meta.json").read_text(encoding="utf-8"))["info"]
        return IndexInfo(**{field.name: table[field.name] for field in fields(IndexInfo)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damaged_files(build: Path, chroma_answers: Callable[[Path], bool]) -> list[str]:
    """Return the files of a build that are missing or not as they were written.

    ``chroma_answers`` tries a Chroma folder whose database changed its size; it is asked only
    where all other files are right.
    """
    try:
        files = json.loads((build / "meta.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return ["meta.json"]
    wrong = [
        name
        for name, (size, sha256) in files.items()
        if name != _CHANGED_BY_OPENING and not _is_as_written(build / name, size, sha256)
    ]
    database = build / _CHANGED_BY_OPENING
    if _CHANGED_BY_OPENING not in files or not database.is_file() or not is_sound(database):
        return [*wrong, _CHANGED_BY_OPENING]
    resized = database.stat().st_size != files[_CHANGED_BY_OPENING][0]
    if not wrong and resized and not chroma_answers(build / CHROMA):
        return [_CHANGED_BY_OPENING]
    return wrong


def snapshot(build: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of a build's files: equal ones need no second look."""
    found = {}
    for path in build.rglob("*"):
        name = path.relative_to(build).as_posix()
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            if stat.S_ISREG(state.st_mode):
                changed = 0 if name == _CHANGED_BY_OPENING else state.st_mtime_ns
                found[name] = (state.st_size, changed)
    return found


def _is_as_written(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
