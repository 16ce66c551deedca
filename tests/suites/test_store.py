"""The store: rows with all that decides them, merged without counting anything twice."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl.suites import exchange
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.store import Store
from tests.suites.samples import question, result

HERE = Path(__file__).parents[2]


def test_results_come_back_as_they_were_added(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "results.sqlite")
    assert store.results() == []
    added = [result(question(0), 1.0, 2.0), result(question(1), outcome="FRL0420")]
    assert store.add(added) == 2 and store.add(added) == 0 and store.add([]) == 0
    assert sorted(store.results(), key=lambda one: one.question.seed) == added


def test_two_stores_merge_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one.sqlite"), Store(tmp_path / "other.sqlite")
    one.add([result(question(0), 1.0), result(question(1), 2.0)])
    elsewhere = result(question(1), 3.0, machine="another", recorded="2025")
    other.add([result(question(0), 1.0), elsewhere, result(question(1, algorithm="changed"), 4.0)])
    assert one.add(other.results()) == 2 and one.add(other.results()) == 0
    counted = one.counted()
    assert len(one.results()) == 4 and len(counted) == 3
    assert counted[question(1)] == elsewhere, "of two answers to one question the first one recorded counts"
    assert other.add(one.results()) == 1 and other.counted() == counted


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_results_survive_a_file(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    results = [result(question(0), 1.0, 2.5), result(question(2), outcome="FRL0421")]
    path = tmp_path / f"results{suffix}"
    assert exchange.write(results, path) == 2
    assert exchange.read(path) == results


def test_a_file_has_all_that_decides_a_run(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    exchange.write([result(question(3), 7.0)], path)
    line = json.loads(path.read_text())
    assert line["algorithm"] == "abcdef012345" and line["seed"] == 3 and line["software"] == '{"jax": "1"}'
    assert {"task", "steps", "evaluate_every", "episodes", "machine", "outcome"} <= {*line}
    (row,) = exchange.rows_of([result(question(3), 7.0)])
    assert row.keys() > line.keys() - {"evaluations"} and row["step"] == 100 and row["return_mean"] == 7.0


def test_results_of_the_documents_are_results() -> None:
    found = exchange.read(HERE / "docs" / "results.jsonl")
    assert len(found) > 100 and all(len(one.evaluations) >= 5 and not one.failed for one in found)
    one = found[-1]
    assert one.evaluations[-1].step == one.question.steps and one.question.episodes == 10
    assert one.evaluations[-1].seconds == pytest.approx(one.updates / one.updates_per_second, rel=0.01)


@pytest.mark.parametrize("content", ["", "no rows\n", '{"step": 3}\n', "[]\n", '{"evaluations": 3, "algorithm": "x"}\n'])
def test_a_file_without_results(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(content)
    if not content:
        assert exchange.read(path) == []
        return
    with pytest.raises(SuiteError) as caught:
        exchange.read(path)
    assert caught.value.code == "FRL0507"


def test_a_file_that_is_not_a_store(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    path.write_text("something else entirely, and long enough to be no empty database" * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    for wrong in (path, other):
        with pytest.raises(SuiteError) as caught:
            Store(wrong).results()
        assert caught.value.code == "FRL0500"


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError) as caught:
        Store(tmp_path / "file" / "results.sqlite").add([result()])
    assert caught.value.code == "FRL0501"


def test_a_full_disk_loses_no_earlier_result(tmp_path: Path) -> None:
    """The limit on the size of a file stands for the disk that is full."""
    store = Store(tmp_path / "results.sqlite")
    store.add([result(question(0), 1.0)])
    code = f"""
import resource, signal, sys
from pathlib import Path
from flowrl_dsl.suites.store import Store
from flowrl_dsl.suites.errors import SuiteError
from tests.suites.samples import question, result
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    Store(Path({str(store.path)!r})).add([result(question(seed), *map(float, range(3))) for seed in range(1, 500)])
except SuiteError as error:
    sys.exit(error.code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "FRL0501"
    assert store.results() == [result(question(0), 1.0)]
    assert store.add([result(question(1), 2.0)]) == 1
