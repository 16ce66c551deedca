"""The store of results: an SQLite file.  A row is one evaluation; the run it belongs to has all that decides it.

Rows are never changed.  A run is added in one transaction, so that a full disk or a kill loses no earlier one; adding a run
that is there already changes nothing, so that two stores merge by adding the runs of one to the other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path

from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Question
from flowrl_dsl.suites.results import Evaluation, Result, first_recorded

_VERSION = 1
_TABLES = """
CREATE TABLE runs (
  id TEXT PRIMARY KEY, spec TEXT NOT NULL, algorithm TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL,
  steps INTEGER NOT NULL, evaluate_every INTEGER NOT NULL, episodes INTEGER NOT NULL, sets TEXT NOT NULL,
  software TEXT NOT NULL, machine TEXT NOT NULL, outcome TEXT NOT NULL, updates INTEGER NOT NULL,
  updates_per_second REAL, recorded TEXT NOT NULL
);
CREATE TABLE evaluations (
  run TEXT NOT NULL REFERENCES runs (id), step INTEGER NOT NULL, return_mean REAL NOT NULL, return_std REAL,
  return_min REAL, return_max REAL, seconds REAL, PRIMARY KEY (run, step)
);
"""
_QUESTION = "algorithm, task, seed, steps, evaluate_every, episodes"
_RUN = f"id, spec, {_QUESTION}, sets, software, machine, outcome, updates, updates_per_second, recorded"
_WAIT = 30.0
"""Seconds to wait for another process that is writing."""


class Store:
    """The store in a file, which is made when the first result is added."""

    def __init__(self, path: Path):
        self.path = path

    def add(self, results: Iterable[Result]) -> int:
        """Add results, and return how many were new.  Raises FRL0501 where the file cannot be written."""
        rows = list(results)
        if not rows:
            return 0
        with self._opened(write=True) as database, database:
            marks = ", ".join("?" * len(_run_row(rows[0])))
            new = [r for r in rows if database.execute(f"INSERT OR IGNORE INTO runs VALUES ({marks})", _run_row(r)).rowcount]
            lines = [(result.id, *astuple(one)) for result in new for one in result.evaluations]
            database.executemany("INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?)", lines)
        return len(new)

    def results(self) -> list[Result]:
        """Every result, in the order of recording.  Raises FRL0500 for a file that is not a store."""
        if not self.path.exists():
            return []
        with self._opened(write=False) as database:
            evaluations: dict[str, list[Evaluation]] = {}
            for run, *values in database.execute("SELECT * FROM evaluations ORDER BY run, step"):
                evaluations.setdefault(run, []).append(Evaluation(*values))
            runs = database.execute(f"SELECT {_RUN} FROM runs ORDER BY recorded, rowid").fetchall()
        return [_result(row, evaluations.get(row[0], [])) for row in runs]

    def counted(self) -> dict[Question, Result]:
        """One result for each question."""
        return first_recorded(self.results())

    @contextmanager
    def _opened(self, write: bool) -> Iterator[sqlite3.Connection]:
        try:
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT)) as database:
                self._prepare(database, write)
                yield database
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def _prepare(self, database: sqlite3.Connection, write: bool) -> None:
        """Make the tables of a new file, and check the version of one that exists."""
        (version,) = database.execute("PRAGMA user_version").fetchone()
        empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and empty and write:
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            found = f"it has the version {version}, expected {_VERSION}" if version else "it has other tables"
            raise SuiteError("FRL0500", f"{self.path} is not a store of results: {found}")

    def _error(self, error: Exception) -> SuiteError:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, sqlite3.OperationalError | OSError):
            hint = "no result is lost: free some space or choose another --store, and give the command again"
            return SuiteError("FRL0501", f"cannot use {self.path}: {reason}", hint)
        return SuiteError("FRL0500", f"{self.path} is not a store of results: {reason}")


def _run_row(result: Result) -> tuple:
    question = astuple(result.question)
    described = (json.dumps(result.sets), result.software, result.machine, result.outcome)
    return (result.id, result.spec, *question, *described, result.updates, result.updates_per_second, result.recorded)


def _result(row: tuple, evaluations: list[Evaluation]) -> Result:
    _, spec, *rest = row
    question, (sets, software, machine, outcome, updates, rate, recorded) = Question(*rest[:6]), rest[6:]
    described = (software, machine, outcome, updates, rate, recorded)
    return Result(spec, question, tuple(json.loads(sets)), *described, evaluations=tuple(evaluations))
