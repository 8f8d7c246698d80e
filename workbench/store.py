"""The SQLite run store: every question, every message sent, every answer, error and score.

A row that was added survives ``kill -9`` (it is in the operating system's hands) and, as SQLite's
default ``synchronous=FULL`` holds, a power cut too: an answer may have cost money, and a commit
takes 2 ms where a model takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from workbench.errors import UnknownName, WorkbenchError
from workbench.keys import scrub, scrub_values
from workbench.types import Answer, Question, Result, Score, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY,
    created TEXT NOT NULL,      -- UTC, ISO 8601
    spec TEXT NOT NULL,         -- what was asked for, as JSON
    environment TEXT NOT NULL   -- versions and machine, as JSON
);
CREATE TABLE IF NOT EXISTS results (
    run TEXT NOT NULL REFERENCES runs(id),
    solver TEXT NOT NULL,
    question_id TEXT NOT NULL,
    sample INTEGER NOT NULL,
    question TEXT NOT NULL,     -- the Question as JSON
    answer TEXT,                -- the Answer as JSON, with every message sent; NULL for an error
    error TEXT,
    finished TEXT NOT NULL,
    partial TEXT,               -- the Step that did not come to its end, as JSON
    PRIMARY KEY (run, solver, question_id, sample)
);
CREATE TABLE IF NOT EXISTS scores (
    run TEXT NOT NULL REFERENCES runs(id),
    solver TEXT NOT NULL,
    question_id TEXT NOT NULL,
    sample INTEGER NOT NULL,
    metric TEXT NOT NULL,
    signature TEXT NOT NULL,    -- the metric with all settings that decide a value
    value REAL,                 -- NULL where nobody could judge
    detail TEXT NOT NULL,
    statistics TEXT NOT NULL,   -- a JSON list of numbers
    finished TEXT NOT NULL,
    PRIMARY KEY (run, solver, question_id, sample, metric, signature)
);
"""

_QUESTION = TypeAdapter(Question)
_ANSWER = TypeAdapter(Answer)
_STEP = TypeAdapter(Step)


Key = tuple[str, str, int]
"""Solver, question id and sample: what an answer of a run is called."""


class StoreError(WorkbenchError):
    """The file of the runs cannot be written or read: no room, a damaged disk, no rights."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the list of runs shows it."""

    id: str
    created: str
    spec: Mapping[str, Any]
    environment: Mapping[str, Any]


class Store:
    """The runs in one SQLite file. Opening creates nothing; the first write does.

    Each method opens and closes its own connection, so a Store may be used from any thread.
    Write-ahead logging lets readers go on while a run is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, spec: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
        """Open a run and return its id: the date and eight random hex digits."""
        run = f"{datetime.now(UTC):%Y%m%d}-{uuid.uuid4().hex[:8]}"
        with self._write() as connection, connection:
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?)",
                (run, _now(), json.dumps(scrub_values(spec)), json.dumps(environment)),
            )
        return run

    def describe(self, run: str, spec: Mapping[str, Any]) -> None:
        """Replace what is told of a run: an evaluation that goes on learns what was added.

        Raises:
            UnknownName: no run has that id.
        """
        self.run(run)
        with self._write() as connection, connection:
            connection.execute(
                "UPDATE runs SET spec = ? WHERE id = ?", (json.dumps(scrub_values(spec)), run)
            )

    def add(self, run: str, question: Question, result: Result) -> None:
        """Store one result for good, without its scores; the same key again replaces it.

        The scores of what was replaced go: they judged another answer.
        """
        row = (
            run,
            result.solver,
            result.question_id,
            result.sample,
            _json(question),
            _json(result.answer),
            None if result.error is None else scrub(result.error),
            _now(),
            _json(result.partial),
        )
        with self._write() as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO results (run, solver, question_id, sample, question,"
                " answer, error, finished, partial) VALUES (?,?,?,?,?,?,?,?,?)",
                row,
            )
            connection.execute(
                "DELETE FROM scores WHERE run = ? AND solver = ? AND question_id = ?"
                " AND sample = ?",
                row[:4],
            )

    def add_scores(self, run: str, key: Key, scores: Iterable[tuple[str, Score]]) -> None:
        """Store scores of one answer for good, each with its metric's signature, all or none.

        The same signature again replaces a score.
        """
        now = _now()
        rows = [
            (
                *(run, *key, score.metric, signature, score.value, scrub(score.detail)),
                *(json.dumps(score.statistics), now),
            )
            for signature, score in scores
        ]
        with self._write() as connection, connection:
            connection.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?,?,?,?,?,?,?,?,?,?)", rows
            )

    def scores(self, run: str) -> dict[Key, dict[str, Score]]:
        """Return a run's scores by what they judge and by signature.

        Raises:
            UnknownName: no run has that id.
        """
        self.run(run)
        found: dict[Key, dict[str, Score]] = {}
        for key, signature, score in self._scores(run):
            found.setdefault(key, {})[signature] = score
        return found

    def _scores(self, run: str) -> list[tuple[Key, str, Score]]:
        """Return the scores of a run in the order in which they were stored."""
        with self._connect() as connection:
            if not _has(connection, "scores"):  # an older store
                return []
            rows = connection.execute(
                "SELECT solver, question_id, sample, signature, metric, value, detail, statistics"
                " FROM scores WHERE run = ? ORDER BY rowid",
                (run,),
            ).fetchall()
        return [
            (tuple(row[:3]), row[3], Score(row[4], row[5], row[6], tuple(json.loads(row[7]))))
            for row in rows
        ]

    def runs(self, limit: int = 50) -> list[RunRow]:
        """Return the latest runs, newest first."""
        if not self.path.exists():
            return []
        with self._connect() as connection:
            if not _has(connection, "runs"):  # who made the file died before it held anything
                return []
            rows = connection.execute(
                "SELECT id, created, spec, environment FROM runs ORDER BY rowid DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [RunRow(row[0], row[1], json.loads(row[2]), json.loads(row[3])) for row in rows]

    def run(self, run: str) -> RunRow:
        """Return one run.

        Raises:
            UnknownName: no run has that id.
        """
        known = {row.id: row for row in self.runs(limit=-1)}  # SQLite: no limit
        if run not in known:
            raise UnknownName("run", run, list(known)[:20])
        return known[run]

    def results(self, run: str) -> Iterator[tuple[Question, Result]]:
        """Yield a run's questions with their results, in the order in which they were stored.

        Of a metric that was scored under several signatures, the scores are those of the last one.

        Raises:
            UnknownName: no run has that id.
        """
        self.run(run)
        scores = _latest(self._scores(run))
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT solver, question_id, sample, question, answer, error,"
                f" {_partial(connection)} FROM results WHERE run = ? ORDER BY rowid",
                (run,),
            ).fetchall()
        for solver, question_id, sample, question, answer, error, partial in rows:
            yield (
                _QUESTION.validate_json(question),
                Result(
                    solver,
                    question_id,
                    sample,
                    None if answer is None else _ANSWER.validate_json(answer),
                    scores.get((solver, question_id, sample), ()),
                    error=error,
                    partial=None if partial is None else _STEP.validate_json(partial),
                ),
            )

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for the block.

        Raises:
            StoreError: the disk is full or broken, or the file is damaged, or locked for long.
        """
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"The run store {self.path} cannot be used: {error}.",
                "What was stored stays: make room there, and the same command goes on.",
            ) from error

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that may write, to a file that has all tables.

        Raises:
            StoreError: as ``_connect``, or there is no place for the file.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The run store {self.path} cannot be made: {error.strerror or error}.",
                "Choose another place: WORKBENCH_HOME",
            ) from error
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            if _partial(connection) == "NULL":
                with contextlib.suppress(sqlite3.OperationalError):  # another process was quicker
                    connection.execute("ALTER TABLE results ADD COLUMN partial TEXT")
            yield connection


def _latest(rows: Iterable[tuple[Key, str, Score]]) -> dict[Key, tuple[Score, ...]]:
    """Keep, of each metric, the scores of the signature that was stored last."""
    stored = list(rows)
    newest = {score.metric: signature for _, signature, score in stored}
    kept: dict[Key, tuple[Score, ...]] = {}
    for key, signature, score in stored:
        if newest[score.metric] == signature:
            kept[key] = (*kept.get(key, ()), score)
    return kept


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    )
    return found.fetchone() is not None


def _partial(connection: sqlite3.Connection) -> str:
    """Return how to select partial answers: an older store has no column for them."""
    columns = connection.execute("SELECT name FROM pragma_table_info('results')").fetchall()
    return "partial" if ("partial",) in columns else "NULL"


def _json(record: Question | Answer | Step | None) -> str | None:
    """Return a record as JSON without keys, None for none."""
    return None if record is None else json.dumps(scrub_values(asdict(record)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
