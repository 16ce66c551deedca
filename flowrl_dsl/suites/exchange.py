"""Results as files: JSON lines or Parquet, a row for each evaluation with all that decides it; and their way back.

A run without an evaluation has one row whose ``step`` is null.  The records of ``docs/make_results.py`` are imported too.
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
from flowrl_dsl.suites.results import FINISHED, Evaluation, Result, seconds_before

PARQUET = ".parquet"
Row = dict[str, Any]
_MOST_BYTES = 1 << 30
_QUESTION = [field.name for field in fields(Question)]
_EVALUATION = [field.name for field in fields(Evaluation)]
_OWN = ("spec", "software", "machine", "outcome", "updates", "updates_per_second", "recorded")


def rows_of(results: Iterable[Result]) -> Iterator[Row]:
    """A flat row for each evaluation."""
    for result in results:
        run = asdict(result.question) | {name: getattr(result, name) for name in _OWN} | {"sets": list(result.sets)}
        nothing = dict.fromkeys(_EVALUATION)
        for values in [asdict(one) for one in result.evaluations] or [nothing]:
            yield run | values


def results_of(rows: Iterable[Row]) -> list[Result]:
    """The runs of flat rows.  Raises KeyError, TypeError or ValueError for rows of another kind."""
    found: dict[str, Result] = {}
    for row in rows:
        question = Question(**{name: row[name] for name in _QUESTION})
        run = Result(question=question, sets=tuple(row["sets"]), evaluations=(), **{name: row[name] for name in _OWN})
        run = found.setdefault(run.id, run)
        if row["step"] is not None:
            one = Evaluation(**{name: row[name] for name in _EVALUATION})
            found[run.id] = replace(run, evaluations=(*run.evaluations, one))
    return list(found.values())


def write(results: Sequence[Result], path: Path) -> int:
    """Write results to a file of JSON lines, or of Parquet if its name ends so; returns the number of rows.

    Raises FRL0505 where pyarrow is missing, and FRL0410 where the file cannot be written.
    """
    rows = list(rows_of(results))
    data = _parquet(rows) if path.suffix == PARQUET else "".join(json.dumps(row) + "\n" for row in rows).encode()
    with files.disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, data)
    return len(rows)


def read(path: Path) -> list[Result]:
    """The results of a file.  Raises FRL0507 for one that contains something else."""
    try:
        data = read_regular(path, _MOST_BYTES)
        if path.suffix == PARQUET:
            return results_of(_of_parquet(data))
        lines = [json.loads(line) for line in data.splitlines() if line.strip()]
        if lines and "evaluated_at" in lines[0]:
            return [of_study(record) for record in lines if "algorithm" in record]
        return results_of(lines)
    except OSError as error:
        raise SuiteError("FRL0507", f"cannot read {path}: {error.strerror or error}") from error
    except (Unreadable, KeyError, TypeError, ValueError) as error:
        raise SuiteError("FRL0507", f"{path} has no results: {type(error).__name__} {error}") from error


def of_study(record: Row) -> Result:
    """A record of docs/results.jsonl, which says the version of this package and nothing of the machine."""
    steps, rate, updates = record["steps"], record["updates_per_second"], record["updates"]
    question = Question(
        record["algorithm"], record["task"], record["seed"], steps, record["evaluate_every"], record.get("episodes", 10)
    )
    warmup = max(steps - updates, 0)
    measured = zip(record["evaluated_at"], record["return_mean"], record["return_std"], strict=True)
    whole = updates / rate
    evaluations = tuple(
        Evaluation(step, mean, std, seconds=seconds_before(step, warmup, steps, whole)) for step, mean, std in measured
    )
    software = json.dumps({"flowrl-dsl": record["version"]})
    ended = (FINISHED, updates, rate, "", evaluations)
    return Result(record["spec"], question, tuple(record["sets"]), software, "", *ended)


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
