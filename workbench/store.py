"""The SQLite run store: every question, every message sent, every answer and every error."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from workbench.errors import UnknownName
from workbench.keys import scrub, scrub_values
from workbench.types import Answer, Question, Result, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
"""

_QUESTION = TypeAdapter(Question)
_ANSWER = TypeAdapter(Answer)
_STEP = TypeAdapter(Step)


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
        with closing(self._write()) as connection, connection:
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?)",
                (run, _now(), json.dumps(scrub_values(spec)), json.dumps(environment)),
            )
        return run

    def add(self, run: str, question: Question, result: Result) -> None:
        """Store one result for good; the same key again replaces it."""
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
        with closing(self._write()) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO results (run, solver, question_id, sample, question,"
                " answer, error, finished, partial) VALUES (?,?,?,?,?,?,?,?,?)",
                row,
            )

    def runs(self, limit: int = 50) -> list[RunRow]:
        """Return the latest runs, newest first."""
        if not self.path.exists():
            return []
        with closing(self._connect()) as connection:
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

        Raises:
            UnknownName: no run has that id.
        """
        self.run(run)
        with closing(self._connect()) as connection:
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
                    error=error,
                    partial=None if partial is None else _STEP.validate_json(partial),
                ),
            )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)

    def _write(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        if _partial(connection) == "NULL":
            with contextlib.suppress(sqlite3.OperationalError):  # another process was quicker
                connection.execute("ALTER TABLE results ADD COLUMN partial TEXT")
        return connection


def _partial(connection: sqlite3.Connection) -> str:
    """Return how to select partial answers: an older store has no column for them."""
    columns = connection.execute("SELECT name FROM pragma_table_info('results')").fetchall()
    return "partial" if ("partial",) in columns else "NULL"


def _json(record: Question | Answer | Step | None) -> str | None:
    """Return a record as JSON without keys, None for none."""
    return None if record is None else json.dumps(scrub_values(asdict(record)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
