"""Results as files, and their way back: JSON with a line for each run, or Parquet with a row for each evaluation.

Both contain all that decides a run.  In Parquet a run without an evaluation has one row whose ``step`` is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import files
from flowrl_dsl.suites.errors import SuiteError, missing_library
from flowrl_dsl.suites.jobs import Question
from flowrl_dsl.suites.results import Evaluation, Result

PARQUET = ".parquet"
Row = dict[str, Any]
_MOST_BYTES = 1 << 30
_QUESTION = [field.name for field in fields(Question)]
_EVALUATION = [field.name for field in fields(Evaluation)]
_OWN = ("spec", "software", "machine", "outcome", "updates", "updates_per_second", "recorded", "data_name")
_LATER: Row = {"data": "", "data_name": ""}
"""What files of earlier versions lack, with what it was there; lines leave it out where it is that."""


def _run(result: Result) -> Row:
    """All of a result but its evaluations."""
    return asdict(result.question) | {name: getattr(result, name) for name in _OWN} | {"sets": list(result.sets)}


def _result(row: Row, evaluations: tuple[Evaluation, ...]) -> Result:
    row = _LATER | row
    question = Question(**{name: row[name] for name in _QUESTION})
    own = {name: row[name] for name in _OWN}
    return Result(question=question, sets=tuple(row["sets"]), evaluations=evaluations, **own)


def lines_of(results: Iterable[Result]) -> Iterator[Row]:
    """An object for each run, with the list of its ``evaluations``; what was not measured is left out."""
    for result in results:
        measured = [{name: v for name, v in asdict(one).items() if v is not None} for one in result.evaluations]
        run = {name: value for name, value in _run(result).items() if name not in _LATER or value != _LATER[name]}
        yield run | {"evaluations": measured}


def of_lines(lines: Iterable[Row]) -> list[Result]:
    """The runs of such objects.  Raises KeyError, TypeError or ValueError for others."""
    return [_result(line, tuple(Evaluation(**one) for one in line["evaluations"])) for line in lines]


def rows_of(results: Iterable[Result]) -> Iterator[Row]:
    """A flat row for each evaluation."""
    for result in results:
        nothing = dict.fromkeys(_EVALUATION)
        for values in [asdict(one) for one in result.evaluations] or [nothing]:
            yield _run(result) | values


def of_rows(rows: Iterable[Row]) -> list[Result]:
    """The runs of flat rows.  Raises KeyError, TypeError or ValueError for rows of another kind."""
    found: dict[str, Result] = {}
    for row in rows:
        run = _result(row, ())
        run = found.setdefault(run.id, run)
        if row["step"] is not None:
            one = Evaluation(**{name: row[name] for name in _EVALUATION})
            found[run.id] = replace(run, evaluations=(*run.evaluations, one))
    return list(found.values())


def write(results: Sequence[Result], path: Path) -> int:
    """Write results to a file, of Parquet if its name ends so and of JSON otherwise; returns the number of runs.

    Raises FRL0505 where pyarrow is missing, and FRL0410 where the file cannot be written.
    """
    data = _parquet(list(rows_of(results))) if path.suffix == PARQUET else _json(results)
    with files.disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, data)
    return len(results)


def read(path: Path) -> list[Result]:
    """The results of a file.  Raises FRL0507 for one that contains something else."""
    try:
        data = read_regular(path, _MOST_BYTES)
        if path.suffix == PARQUET:
            return of_rows(_of_parquet(data))
        return of_lines(json.loads(line) for line in data.splitlines() if line.strip())
    except OSError as error:
        raise SuiteError("FRL0507", f"cannot read {path}: {error.strerror or error}") from error
    except (Unreadable, KeyError, TypeError, ValueError) as error:
        raise SuiteError("FRL0507", f"{path} has no results: {type(error).__name__} {error}") from error


def _json(results: Iterable[Result]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines_of(results)).encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    import io

    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_library("pyarrow", "parquet") from error
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


def _of_parquet(data: bytes) -> list[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_library("pyarrow", "parquet") from error
    rows: list[Row] = parquet.read_table(pyarrow.BufferReader(data)).to_pylist()
    return rows
