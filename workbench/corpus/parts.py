"""Read several sources at once, each into a part file that outlives a crawl that dies.

A part is finished once its description is on disk, beside its documents. The next call takes
finished parts as they are where the source says that it still has that revision.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import json
import platform
import queue
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench import durable
from workbench.cancel import cancelled, cancelled_by
from workbench.corpus.caps import Budget, Caps
from workbench.corpus.document_files import DocumentWriter, digest_of, read_documents
from workbench.corpus.sources import Source, SourceCrawler, redact
from workbench.errors import Cancelled, WorkbenchError
from workbench.progress import bar
from workbench.types import Document

FORMAT = 1
THREADS = 8
"""So many sources are read at once: reading waits for the network more than for anything."""
PATIENCE_SECONDS = 1.0
"""So long a reader that is told to stop may take; then it is left to itself."""
_POLL_SECONDS = 0.1
_PLACE = re.compile(r"(?:(?!==)[^@#])+")


@dataclass(frozen=True, slots=True)
class Part:
    """What one source gave: its name and revision, and the file with ``read`` documents."""

    source: str
    revision: str | None
    read: int
    skipped: Mapping[str, int]
    digest: str
    file: str

    def documents(self, folder: Path) -> Iterator[Document]:
        """Yield its documents; ``folder`` is that of the parts."""
        return read_documents(folder / self.file) if self.file else iter(())


def read_sources(name: str, sources: Sequence[Source], folder: Path, caps: Caps) -> list[Part]:
    """Read all sources, some at once, and return their parts in the order of ``sources``.

    Raises:
        WorkbenchError: a source cannot be read. What is finished stays in ``folder``.
        Cancelled: nobody waits for it any more.
        OSError: the parts cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob("*.part"):
        left_over.unlink(missing_ok=True)
    readers = _Readers(sources, folder, caps)
    try:
        with bar(desc=f"Crawling {name}", unit=" files") as progress:
            while not readers.is_done():
                progress.update(readers.count() - progress.n)
                if cancelled():
                    raise was_stopped(name)
            progress.update(readers.count() - progress.n)
        return readers.parts()
    finally:
        readers.stop()


def remove_parts(folder: Path) -> None:
    """Remove all parts: the corpus is whole without them."""
    shutil.rmtree(folder, ignore_errors=True)


def was_stopped(name: str) -> Cancelled:
    """Return the error of a crawl that nobody waits for."""
    return Cancelled(f"The crawl of {name} was stopped.", "Call it again, and it goes on.")


class _Stopped(Exception):
    """Nobody waits for this reader any more."""


class _Readers:
    """Threads that take one source after the other. They end with the process, whatever hangs."""

    def __init__(self, sources: Sequence[Source], folder: Path, caps: Caps) -> None:
        self._sources = sources
        self._folder = folder
        self._caps = caps
        self._deadline = time.monotonic() + caps.seconds
        self._stop = threading.Event()
        self._counts = [0] * len(sources)
        self._parts: list[Part | None] = [None] * len(sources)
        self._outcomes: queue.SimpleQueue[tuple[int, Part | Exception]] = queue.SimpleQueue()
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(sources)):
            self._waiting.put(number)
        self._threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work,), daemon=True)
            for _ in range(min(THREADS, len(sources)))
        ]
        for thread in self._threads:
            thread.start()

    def count(self) -> int:
        """Count the documents read so far."""
        return sum(self._counts)

    def is_done(self) -> bool:
        """Wait a moment for another source to be finished; True once all are, or time is up.

        Raises:
            Exception: that of a source that failed.
        """
        if all(self._parts) or self._is_late(PATIENCE_SECONDS):
            return True
        with contextlib.suppress(queue.Empty):
            number, outcome = self._outcomes.get(timeout=_POLL_SECONDS)
            if isinstance(outcome, Exception):
                raise outcome
            self._parts[number] = outcome
        if self._is_late():
            self._stop.set()
        return False

    def parts(self) -> list[Part]:
        """Return a part for each source; an empty one for what did not end in time."""
        return [
            part or self._nothing(source)
            for part, source in zip(self._parts, self._sources, strict=True)
        ]

    def stop(self) -> None:
        """Tell all threads to end, and give them a moment to do so."""
        self._stop.set()
        patience = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))

    def _is_late(self, patience: float = 0.0) -> bool:
        return time.monotonic() > self._deadline + patience

    def _nothing(self, source: Source) -> Part:
        return Part(str(source), None, 0, {self._caps.beyond_seconds: 1}, "", "")

    def _work(self) -> None:
        with cancelled_by(self._stop), contextlib.suppress(_Stopped, queue.Empty):
            while not self._stop.is_set():
                number = self._waiting.get_nowait()
                outcome: Part | Exception
                try:
                    outcome = self._read(number)
                except _Stopped:
                    raise
                except Exception as error:  # the thread that waits raises it
                    # A source that is torn from its work at the deadline may say anything.
                    outcome = self._nothing(self._sources[number]) if self._is_late() else error
                self._outcomes.put((number, outcome))

    def _read(self, number: int) -> Part:
        """Return the part of one source: a finished one, or else read now."""
        source = self._sources[number]
        description = self._folder / f"{self._key(source)}.json"
        part = _load(description)
        if part is None or source.pin is None:
            with _naming(source):
                crawler = source.open(self._caps)
            if part is None or not _is_of(part, crawler):
                return self._write(number, crawler, description)
        self._counts[number] = part.read
        return part

    def _write(self, number: int, crawler: SourceCrawler, description: Path) -> Part:
        """Read a source to its end, or to that of a cap, and write its part."""
        # Never over the file of a part that is finished, nor of a reader left to itself.
        path = description.with_name(f"{description.stem}-{time.monotonic_ns():x}.part")
        skipped: Counter[str] = Counter()
        with (
            contextlib.closing(_documents(self._sources[number], crawler)) as documents,
            DocumentWriter(path) as writer,
        ):
            for document in self._within_caps(documents, skipped):
                writer.write(document)
                self._counts[number] += 1
        skipped.update(crawler.skipped)
        file = path.with_suffix(".jsonl")
        path.replace(file)
        source, revision, read = crawler.source, crawler.revision, writer.read
        part = Part(source, revision, read, dict(skipped), writer.digest, file.name)
        if self._caps.beyond_seconds not in skipped:
            durable.replace_durably(description, json.dumps(asdict(part)))
            durable.point("crawl.source")
        return part

    def _within_caps(
        self, documents: Iterator[Document], skipped: Counter[str]
    ) -> Iterator[Document]:
        """Yield documents while there is room and time; count the first one beyond.

        Raises:
            _Stopped: nobody waits for them.
        """
        budget = Budget(self._caps)
        try:
            for document in documents:
                if self._stop.is_set() or self._is_late():
                    break
                if not budget.take(len(document.text.encode())):
                    skipped[str(budget.spent)] += 1
                    return
                yield document
            else:
                # A crawler that heard that it is to stop may have ended as if it were through.
                if not self._stop.is_set():
                    return
        except Cancelled:
            if not self._stop.is_set():
                raise
        if not self._is_late():
            raise _Stopped
        skipped[self._caps.beyond_seconds] += 1

    def _key(self, source: Source) -> str:
        """Identify what decides the content of a part, apart from what the source holds."""
        python = platform.python_version()
        told = json.dumps([FORMAT, str(source), self._caps.files, self._caps.bytes, python])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def _documents(source: Source, crawler: SourceCrawler) -> Generator[Document, None, None]:
    with _naming(source):
        yield from crawler.crawl()


def _is_of(part: Part, crawler: SourceCrawler) -> bool:
    """Say whether the part holds what the crawler would read; False where nobody can know."""
    told = (crawler.source, crawler.revision)
    return crawler.revision is not None and told == (part.source, part.revision)


def _load(path: Path) -> Part | None:
    """Return the finished part that is described at ``path``, if its documents are whole."""
    try:
        part = Part(**json.loads(path.read_bytes()))
        return part if digest_of(path.with_name(part.file)) == part.digest else None
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _naming(source: Source) -> Iterator[None]:
    """Let each error of a source say which one it is, without its password.

    Raises:
        WorkbenchError: what was raised inside, if it was one, or an OSError.
    """
    try:
        yield
    except Cancelled:
        raise
    except WorkbenchError as error:
        cause, remedy = redact(error.cause), redact(error.remedy)
        # Without the revision, and the folder or field: crawlers leave them out.
        place = _PLACE.match(redact(source.argument))
        if not place or place[0] not in cause:
            cause = f"The source {source} cannot be read: {cause}"
        if (cause, remedy) == (error.cause, error.remedy):
            raise
        # The same kind of error, whatever its own constructor takes.
        named = type(error).__new__(type(error))
        WorkbenchError.__init__(named, cause, remedy)
        raise named from None
    except OSError as error:
        raise WorkbenchError(
            f"The source {source} cannot be read: {redact(error.strerror or str(error))}.",
            "Try again: the sources that are finished are kept.",
        ) from error
