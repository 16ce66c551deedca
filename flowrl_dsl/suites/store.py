"""The store of results: an SQLite file.  A row is one evaluation; the run it belongs to has all that decides it.

Rows are never changed.  A run is added in one transaction, so that a full disk or a kill loses no earlier one; adding a run
that is there already changes nothing, so that two stores merge by adding the runs of one to the other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, fields
from pathlib import Path

from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Question
from flowrl_dsl.suites.results import Evaluation, Result, first_recorded

_VERSION = 2
_MIGRATIONS = {
    1: "ALTER TABLE runs ADD COLUMN data TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE runs ADD COLUMN data_name TEXT NOT NULL DEFAULT '';"
}
"""What makes a store of each older version one of the next."""
_TABLES = """
CREATE TABLE runs (
  id TEXT PRIMARY KEY, spec TEXT NOT NULL, algorithm TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL,
  steps INTEGER NOT NULL, evaluate_every INTEGER NOT NULL, episodes INTEGER NOT NULL, sets TEXT NOT NULL,
  software TEXT NOT NULL, machine TEXT NOT NULL, outcome TEXT NOT NULL, updates INTEGER NOT NULL,
  updates_per_second REAL, recorded TEXT NOT NULL, data TEXT NOT NULL DEFAULT '', data_name TEXT NOT NULL DEFAULT ''
);
CREATE TABLE evaluations (
  run TEXT NOT NULL REFERENCES runs (id), step INTEGER NOT NULL, return_mean REAL NOT NULL, return_std REAL,
  return_min REAL, return_max REAL, seconds REAL, PRIMARY KEY (run, step)
);
"""
_QUESTION = "algorithm, task, seed, steps, evaluate_every, episodes, data"
_RUN = f"id, spec, {_QUESTION}, sets, software, machine, outcome, updates, updates_per_second, recorded, data_name"
_OF_QUESTION = len(fields(Question))
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
            adding = f"INSERT OR IGNORE INTO runs ({_RUN}) VALUES ({marks})"
            new = [row for row in rows if database.execute(adding, _run_row(row)).rowcount]
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
            runs = database.execute(f"SELECT {_columns(database)} FROM runs ORDER BY recorded, rowid").fetchall()
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
        """Make the tables of a new file, and check the version of one that exists; an older one is written as the newest."""
        version, empty = _version(database)
        if write and (version in _MIGRATIONS or (version == 0 and empty)):
            database.execute("BEGIN IMMEDIATE")
            version, empty = _version(database)  # another process may have been first
            script = _TABLES if version == 0 and empty else "".join(_MIGRATIONS[n] for n in range(version, _VERSION))
            for statement in script.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.commit()
        elif version != _VERSION and version not in _MIGRATIONS:
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
    measured = (result.updates, result.updates_per_second, result.recorded, result.data_name)
    return (result.id, result.spec, *question, *described, *measured)


def _result(row: tuple, evaluations: list[Evaluation]) -> Result:
    _, spec, *rest = row
    question, (sets, *measured) = Question(*rest[:_OF_QUESTION]), rest[_OF_QUESTION:]
    software, machine, outcome, updates, rate, recorded, data_name = measured
    described = (software, machine, outcome, updates, rate, recorded)
    return Result(spec, question, tuple(json.loads(sets)), *described, tuple(evaluations), data_name)


def _version(database: sqlite3.Connection) -> tuple[int, bool]:
    """The version of a store, and whether the file has no tables."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return version, not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _columns(database: sqlite3.Connection) -> str:
    """The columns of a run; in a store of the first version, which is only read, no run has a data set."""
    return _RUN if _version(database)[0] == _VERSION else _RUN.replace("data", "''", 1).replace("data_name", "''")
