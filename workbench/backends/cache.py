"""The answer cache: an answer that was given once is given again, byte for byte.

One SQLite file, shared by threads and processes. An answer is found by the sha256 of everything
that can change it: messages, sampling parameters with seed and sample number, the backend's
identity (model with revision or file hash, number type, template, endpoint), and the version of
this cache. Only complete answers are kept: no error, no refusal, and nothing that broke off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from workbench.backends.streaming import Transcript
from workbench.backends.wrapping import Wrapper, identity_of, name_of
from workbench.cancel import cancelled
from workbench.errors import WorkbenchError
from workbench.keys import scrub
from workbench.settings import settings
from workbench.types import Backend, Completion, Prompt, SamplingParams, Token

VERSION = 1
"""Counted on whenever an answer of before must not be given again."""

log = logging.getLogger(__name__)

_guard = threading.Lock()
_anchored: tuple[Path, sqlite3.Connection] | None = None

_NEVER = ("retrieval", "replay")  # they answer from the hits of the prompt, and from a file
_POLL_SECONDS = 0.1
_COMPLETION = TypeAdapter(Completion)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,       -- sha256 of all that can change the answer
    backend TEXT NOT NULL,      -- the name under which it was asked
    identity TEXT NOT NULL,
    completion TEXT NOT NULL,   -- the Completion as JSON, figures as they were measured
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost REAL,                  -- USD; NULL where the price was unknown
    created REAL NOT NULL,      -- seconds since 1970
    hits INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS answers_by_backend ON answers (backend, created);
"""


def cached(backend: Backend) -> Backend:
    """Return the backend behind the cache; itself where its answers cannot be told apart.

    That is a backend without an identity, and one that does not answer by its messages alone
    (retrieval, replay). ``WORKBENCH_CACHE=false`` turns the cache off.
    """
    here = settings()
    provider = name_of(backend).partition("/")[0]
    if identity_of(backend) is None or provider in _NEVER or not here.cache:
        return backend
    return Cached.around(backend, here.answers, here.call_timeout)


class Cached(Wrapper):
    """Answers from the cache, or asks the backend inside and keeps what is complete.

    Of two equal calls at the same time the second one waits for the first, at most ``patience``
    seconds.
    """

    def __init__(self, inner: Backend, file: Path, patience: float) -> None:
        super().__init__(inner)
        self._file = file
        self._patience = patience

    def stream(self, prompt: Prompt, params: SamplingParams) -> Generator[Token | Completion]:
        """Yield the kept answer as one piece of reasoning and one of text; else ask.

        A kept Completion is marked ``cached``; its figures and cost are those of when it was
        made.
        """
        identity = identity_of(self.inner)
        if identity is None:  # the inner backend changed its mind: it cannot be told any more
            yield from self.inner.stream(prompt, params)
            return
        _anchor(self._file)
        key = answer_key(identity, prompt, params)
        with _turn(key, self._patience) as granted:
            if not granted:
                yield Transcript(self.name).completion("cancelled")
                return
            kept = _find(self._file, key)
            if kept is None:
                yield from self._ask(key, identity, prompt, params)
                return
        if kept.reasoning:
            yield Token(kept.reasoning, reasoning=True)
        if kept.text:
            yield Token(kept.text)
        yield kept

    def _ask(
        self, key: str, identity: str, prompt: Prompt, params: SamplingParams
    ) -> Iterator[Token | Completion]:
        parts = self.inner.stream(prompt, params)
        try:
            for part in parts:
                if isinstance(part, Completion):
                    _keep(self._file, key, self.name, identity, part)
                yield part
        finally:
            if close := getattr(parts, "close", None):
                close()


def answer_key(identity: str, prompt: Prompt, params: SamplingParams) -> str:
    """Return the sha256 that stands for one answer, as 64 hex digits.

    Equal numbers make equal keys, whether written as 0 or 0.0.
    """
    sampling = asdict(params)
    for name in ("temperature", "top_p"):
        sampling[name] = float(sampling[name])
    material = {
        "version": VERSION,
        "identity": identity,
        "messages": [[message.role, message.content] for message in prompt.messages],
        "sampling": sampling,
    }
    canonical = json.dumps(material, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def holds(identity: str, prompt: Prompt, params: SamplingParams) -> bool:
    """Say whether the answer of the backend of that identity is in the cache."""
    return bool(known([answer_key(identity, prompt, params)]))


def known(keys: Sequence[str]) -> set[str]:
    """Return those keys (see ``answer_key``) whose answers are in the cache."""
    file = settings().answers
    wanted = "SELECT key FROM answers WHERE key IN (SELECT value FROM json_each(?))"
    return {str(row[0]) for row in _read(file, wanted, json.dumps(keys))}


def latest_identity(backend: str) -> str | None:
    """Return the identity that a backend had when it last added an answer; None if never.

    It lets a preflight ask ``holds`` without loading the model.
    """
    newest = "SELECT identity FROM answers WHERE backend = ? ORDER BY created DESC LIMIT 1"
    rows = _read(settings().answers, newest, backend)
    return str(rows[0][0]) if rows else None


@dataclass(frozen=True, slots=True)
class CacheShare:
    """What the cache holds of one backend.

    Tokens are sums over the answers that count them. ``hits`` is how often an answer was given
    again, and ``saved`` what that would have cost in USD, None where no price was known.
    """

    backend: str
    entries: int
    input_tokens: int
    output_tokens: int
    hits: int
    saved: float | None


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What the cache holds. ``bytes`` is its size on disk; times are UTC, None while empty."""

    path: Path
    entries: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    backends: tuple[CacheShare, ...]


def info() -> CacheInfo:
    """Return what the cache holds, the backend with the most answers first. Creates nothing.

    Raises:
        WorkbenchError: the file is no cache any more.
    """
    file = settings().answers
    rows = _all(
        file,
        "SELECT backend, COUNT(*), COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0),"
        " SUM(hits), SUM(hits * cost), MIN(created), MAX(created) FROM answers"
        " GROUP BY backend ORDER BY COUNT(*) DESC, backend",
    )
    return CacheInfo(
        path=file,
        entries=sum(row[1] for row in rows),
        bytes=sum(one.stat().st_size for one in _files(file)),
        oldest=_moment(min((row[6] for row in rows), default=None)),
        newest=_moment(max((row[7] for row in rows), default=None)),
        backends=tuple(CacheShare(*row[:6]) for row in rows),
    )


def clear(backend: str | None = None, older_than: timedelta | None = None) -> int:
    """Remove answers, all or those of one backend or made before ``older_than`` ago.

    Returns how many. A file that is no cache any more is removed as a whole.

    Raises:
        WorkbenchError: such a file is to be cleared in parts.
    """
    file = settings().answers
    if not file.exists():
        return 0
    before = datetime.now(UTC) - older_than if older_than is not None else None
    try:
        with closing(_open(file)) as connection:
            with connection:
                removed = connection.execute(
                    "DELETE FROM answers WHERE backend = COALESCE(?, backend) AND created < ?",
                    (backend, before.timestamp() if before else float("inf")),
                ).rowcount
            # The file shrinks only so; while others read it, it may as well shrink another time.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("VACUUM")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) or backend or older_than:
            raise _unreadable(file, error) from error
        _anchor(None)
        for one in _files(file):
            one.unlink(missing_ok=True)
        return 0
    return int(removed)


# --- the file --------------------------------------------------------------------------


def _find(file: Path, key: str) -> Completion | None:
    """Return a kept completion and count the hit; None where there is none that can be read."""
    rows = _read(file, "SELECT completion FROM answers WHERE key = ?", key)
    if not rows:
        return None
    kept = _parse(rows[0][0])
    if kept is None:
        log.warning("An answer in the cache is damaged; it is asked for again.")
        return None
    with _forgiven(), closing(_open(file)) as connection, connection:
        connection.execute("UPDATE answers SET hits = hits + 1 WHERE key = ?", (key,))
    return replace(kept, cached=True)


def _keep(file: Path, key: str, backend: str, identity: str, completion: Completion) -> None:
    """Store a complete answer of this very backend. The newest one counts."""
    if not completion.is_complete or completion.cached or completion.fallback_for is not None:
        return
    record = json.dumps(asdict(completion))
    # It could be kept word for word, or without the key: not both.
    if any(scrub(text) != text for text in (record, completion.text, identity)):
        log.info("%s: the prompt or its answer holds a key, so it is not cached", backend)
        return
    if _parse(record) is None:  # such as half of a surrogate pair
        log.info("%s: the answer is not Unicode, so it is not cached", backend)
        return
    row = (
        key,
        backend,
        identity,
        record,
        completion.input_tokens,
        completion.output_tokens,
        completion.cost,
        time.time(),
    )
    with _forgiven(), closing(_open(file)) as connection, connection:
        connection.execute(
            "INSERT OR REPLACE INTO answers (key, backend, identity, completion, input_tokens,"
            " output_tokens, cost, created) VALUES (?,?,?,?,?,?,?,?)",
            row,
        )


def _parse(record: str) -> Completion | None:
    with contextlib.suppress(ValidationError):
        return _COMPLETION.validate_json(record)
    return None


def _read(file: Path, query: str, *values: str) -> list[tuple[str, ...]]:
    """Return the rows of a query; none where there is no cache, or where it cannot be read."""
    try:
        return _rows(file, query, *values)
    except (sqlite3.Error, OSError) as error:
        _warn(error)
        return []


def _all(
    file: Path, query: str
) -> list[tuple[str, int, int, int, int, float | None, float, float]]:
    try:
        return _rows(file, query)
    except sqlite3.Error as error:
        raise _unreadable(file, error) from error


def _rows(file: Path, query: str, *values: str) -> list[tuple]:  # type: ignore[type-arg]
    if not file.exists():
        return []
    with closing(_open(file)) as connection:
        return connection.execute(query, values).fetchall()


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=30)
    try:
        # As in the run store: readers go on while another one writes. In this mode a commit
        # without a flush of its own survives the death of the process, though not a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _anchor(file: Path | None) -> None:
    """Keep one connection open for as long as the process lives, to ``file`` or to none.

    The last connection to be closed copies the log into the database and flushes the disk, for 2
    to 10 ms a call; beside an open one, finding or keeping an answer takes 0.7 ms.
    """
    global _anchored
    with _guard:
        if _anchored is not None and _anchored[0] != file:
            _anchored[1].close()
            _anchored = None
        if _anchored is None and file is not None and file.exists():
            with _forgiven():
                _anchored = file, sqlite3.connect(file, timeout=30, check_same_thread=False)
                _anchored[1].execute("SELECT COUNT(*) FROM sqlite_master").fetchall()


@contextlib.contextmanager
def _forgiven() -> Iterator[None]:
    """Go on without the cache where it fails: an answer matters more than its keeping."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        _warn(error)


def _warn(error: Exception) -> None:
    log.warning("The answer cache cannot be used: %s", error)


def _unreadable(file: Path, error: sqlite3.Error) -> WorkbenchError:
    return WorkbenchError(
        f"The answer cache {file} cannot be read: {error}.",
        "Try again, or throw it away: workbench cache clear",
    )


def _files(file: Path) -> list[Path]:
    """Return the database and what SQLite keeps beside it."""
    parts = [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]
    return [part for part in parts if part.exists()]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


# --- one at a time ---------------------------------------------------------------------


@dataclass(slots=True)
class _Turn:
    thread: int
    over: threading.Event = field(default_factory=threading.Event)


_turns: dict[str, _Turn] = {}


@contextlib.contextmanager
def _turn(key: str, patience: float) -> Iterator[bool]:
    """Wait until no other thread works on the same answer; False where nobody waits any more.

    A thread never waits for itself (a stream that it began and left half read), nor longer than
    ``patience`` seconds.
    """
    own = _Turn(threading.get_ident())
    latest = time.monotonic() + patience
    while (other := _take(key, own)) is not None and time.monotonic() < latest:
        if cancelled():
            yield False
            return
        other.over.wait(_POLL_SECONDS)
    try:
        yield True
    finally:
        with _guard:
            if _turns.get(key) is own:
                del _turns[key]
        own.over.set()


def _take(key: str, own: _Turn) -> _Turn | None:
    """Take the turn; return the one whose turn it is where that is another thread's."""
    with _guard:
        other = _turns.setdefault(key, own)
    return None if other is own or other.thread == own.thread else other
