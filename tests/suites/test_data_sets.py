"""Suites whose specs learn from data sets: what is declared, what identifies a run, and a suite as a user runs it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli, driver
from flowrl_dsl.datasets import identify, load
from flowrl_dsl.spec.suites.compare import compare_suites
from flowrl_dsl.spec.suites.resolve import resolve_suite
from flowrl_dsl.suites import data_sets, exchange, worker
from flowrl_dsl.suites.attempts import read_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Job, chosen
from flowrl_dsl.suites.running import Driver
from flowrl_dsl.suites.scores import measured, placed
from flowrl_dsl.suites.store import Store
from tests.datasets.files import write_hdf5
from tests.suites.samples import jobs, question, result, result_for, train_in_this_process

CLONE = """algorithm clone {
  regime = offline
  policy { backbone = gaussian  network = mlp([4]) }
  improve imitation {}
  act { evaluate = mean }
  train { batch = 8 }
}
"""
TUNED = """algorithm tuned extends "clone.flowrl" {
  phase offline { updates = 500 }
  phase online { steps = 500 }
}
"""
SUITE = """suite both {
  specs  = ["clone.flowrl", "tuned.flowrl"]
  tasks  = ["InvertedPendulum-v5", "Hopper-v5"]
  seeds  = 1
  budget = smoke

  made_by = "python make.py"
  data = ["./walk.hdf5", "other/set-v0"]
  for task "Hopper-v5" { data = "hopper-medium-v2.hdf5" }
  budget smoke { steps = 6  evaluate_every = 3  episodes = 1 }

  group cloned { specs = ["clone.flowrl"] }
  group tuned {
    specs = ["tuned.flowrl"]
    tasks = ["InvertedPendulum-v5"]
    data  = "./walk.hdf5"
    offline { updates = 4 }
    online { steps = 4 }
  }
}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the suite, its specs and one of its data sets; Minari's folder is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    data_sets.data_set.cache_clear()
    for name, text in (("clone", CLONE), ("tuned", TUNED), ("both", SUITE)):
        (tmp_path / f"{name}.flowrl").write_text(text)
    write_walk(tmp_path / "walk.hdf5")
    return tmp_path


def write_walk(path: Path, seed: int = 0) -> None:
    rng, last = np.random.default_rng(seed), np.arange(40) % 20 == 19
    s = rng.normal(size=(41, 4))
    columns = {"observations": s[:-1], "next_observations": s[1:], "actions": rng.uniform(-3, 3, (40, 1))}
    write_hdf5(path, {**columns, "rewards": np.ones(40), "terminals": last, "timeouts": np.zeros(40, bool)})


def flowrl(*words: object) -> int:
    return cli.main(["suite", *map(str, words)])


def of_walk(folder: Path, text: str = SUITE, spec: str = "clone") -> Job:
    (job,) = chosen(jobs(folder, text), [spec], None, None, ["walk"])
    return job


def test_each_task_has_its_data_sets_and_a_group_its_own() -> None:
    suite = driver.resolve_suite_or_raise("both.flowrl")
    cloned, tuned = suite.groups
    assert [(task, source and source.name) for task, source in cloned.places()] == [
        ("InvertedPendulum-v5", "walk"),
        ("InvertedPendulum-v5", "other/set-v0"),
        ("Hopper-v5", "hopper-medium-v2"),
    ]
    assert [source and source.name for _, source in tuned.places()] == ["walk"] and cloned.made_by == "python make.py"
    assert [source.source for source in cloned.sources("InvertedPendulum-v5")] == ["walk.hdf5", "other/set-v0"]
    Path("without.flowrl").write_text('suite w extends "both.flowrl" { group tuned { data = [] } }')
    found = driver.resolve_suite_or_raise("without.flowrl")
    assert [*found.groups[1].places()] == [("InvertedPendulum-v5", None)]
    assert "group tuned data" in {one.path for one in compare_suites(suite, found)}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"other/set-v0"', '"walk.npz"', "FRL0275"),
        ('"other/set-v0"]', '"other/set-v0"]  data = []', "FRL0206"),
        ('["./walk.hdf5", "other/set-v0"]', "7", "FRL0213"),
        ('"Hopper-v5" { data', '"Ant-v5" { data', "FRL0278"),
        ("  data = [", "  dta = [", "FRL0208"),
    ],
)
def test_mistakes_in_the_choice_of_data_sets(old: str, new: str, code: str) -> None:
    Path("both.flowrl").write_text(SUITE.replace(old, new))
    assert {one.code for one in resolve_suite("both.flowrl").diagnostics} == {code}


def test_the_identity_of_a_set_is_that_of_a_run(here: Path) -> None:
    whole = load("walk.hdf5").provenance
    found = identify("walk.hdf5")
    assert (found.name, found.sha256, found.size) == (whole.name, whole.sha256, Path("walk.hdf5").stat().st_size)
    write_walk(here / "hopper-medium-v2.hdf5")
    assert identify("hopper-medium-v2.hdf5").reference == load("hopper-medium-v2.hdf5").reference is not None


def test_contents_identify_a_run_and_places_do_not(here: Path) -> None:
    job = of_walk(here)
    assert str(job) == "clone on InvertedPendulum-v5, walk, seed 0"
    (here / "elsewhere").mkdir()
    write_walk(here / "elsewhere" / "walk.hdf5")
    elsewhere = SUITE.replace("./walk", "./elsewhere/walk")
    moved = of_walk(here, elsewhere)
    assert moved.question == job.question and moved.folder == job.folder
    write_walk(here / "elsewhere" / "walk.hdf5", seed=1)
    data_sets.data_set.cache_clear()
    changed = of_walk(here, elsewhere)
    assert changed.question != job.question and changed.folder != job.folder
    with pytest.raises(SuiteError) as caught:
        chosen([job], None, None, None, ["wlk"])
    assert caught.value.code == "FRL0508" and "walk" in caught.value.diagnostics[0].notes[0]


def test_what_phases_take(here: Path) -> None:
    tuned, cloned = of_walk(here, spec="tuned"), of_walk(here)
    assert (tuned.question.steps, tuned.updates, tuned.collected, tuned.acts, tuned.needs_data) == (8, 8, 4, False, True)
    assert (cloned.question.steps, cloned.updates, cloned.collected) == (6, 6, 0)


def test_a_suite_is_planned_run_and_reported(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """As a user does it: what is missing has a code and what makes it; the rest trains as `train --data` does."""

    train_in_this_process(monkeypatch)
    assert flowrl("plan", "both.flowrl", "--no-bench") == 0
    out = capsys.readouterr().out
    assert 'cannot run here: other/set-v0: FRL0450 there is no data set "other/set-v0"' in out
    assert "data sets are made by: python make.py\n" in out
    assert out.endswith("2 runs, 14 updates, 0.0 GB of run folders, 0.0 GB of 1 data sets\n")
    assert flowrl("run", "both.flowrl") == 3
    err = capsys.readouterr().err
    assert "error[FRL0506]: 2 parts" in err and "FRL0450" in err and "made by: python make.py" in err
    assert flowrl("run", "both.flowrl", "--data", "walk", "--jobs", 1) == 0
    first, second = Store(Path("runs/suites/results.sqlite")).results()
    assert {first.spec, second.spec} == {"clone", "tuned"} and first.data_name == second.data_name == "walk"
    digest = load("walk.hdf5").provenance.sha256
    assert first.question.data == second.question.data == digest
    (record,) = Path("runs/suites/runs/clone").glob("*/*/run/run.json")
    assert json.loads(record.read_text())["data"]["sha256"] == digest
    alone = ["train", "clone.flowrl", "--task", "InvertedPendulum-v5", "--data", "walk.hdf5", "--out", "alone"]
    lengths = ("--steps", "6", "--evaluate-every", "3", "--episodes", "1")
    assert cli.main([*alone, *lengths]) == 0
    assert record.with_name("metrics.jsonl").read_bytes() == Path("alone/metrics.jsonl").read_bytes()
    capsys.readouterr()
    assert flowrl("status", "both.flowrl", "--data", "walk", "--json") == 0
    states = {(one["spec"], one["data"], one["state"]) for one in json.loads(capsys.readouterr().out)}
    assert states == {("clone", "walk", "finished"), ("tuned", "walk", "finished")}
    assert flowrl("table", "both.flowrl") == 0
    assert "| spec | InvertedPendulum-v5, walk |" in capsys.readouterr().out


def test_a_set_that_was_replaced_is_no_result_of_the_suite(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Driver(here / "runs", Store(here / "results.sqlite"))
    folder = made._prepared(of_walk(here))
    write_walk(here / "walk.hdf5", seed=1)
    monkeypatch.setattr(worker, "_follow", lambda parent: None)
    assert worker.main(folder, 0) != 0
    outcome = read_outcome(folder)
    assert outcome is not None and outcome.status == "FRL0510"


def test_results_of_a_set_that_is_elsewhere_are_found_by_its_name(here: Path) -> None:
    (job,) = chosen(jobs(here, SUITE), ["clone"], None, None, ["other/set-v0"])

    def of(digest: str, value: float, recorded: str) -> object:
        found = replace(result_for(job, value), data_name="other/set-v0", recorded=recorded)
        return replace(found, question=replace(job.question, data=digest * 64))

    store = Store(here / "results.sqlite")
    store.add([of("b", 2.0, "2025"), of("a", 1.0, "2024")])
    counted = store.counted()
    (known,) = placed([job], counted)
    assert counted[known.question].recorded == "2024", "of two sets of one name the one recorded first counts"
    assert measured([job], counted)["clone"][0].returns.tolist() == [[1.0, 1.0]]


def test_scores_are_those_of_the_set_where_it_has_references(here: Path) -> None:
    write_walk(here / "hopper-medium-v2.hdf5")
    (job,) = chosen(jobs(here, SUITE), ["clone"], ["Hopper-v5"], None)
    random, expert = -20.272305, 3234.3
    ended = replace(result(), question=job.question, evaluations=result(None, expert, random).evaluations)
    steps = [replace(one, step=3 * (k + 1)) for k, one in enumerate(ended.evaluations)]
    (found,) = measured([job], {job.question: replace(ended, evaluations=tuple(steps))})["clone"]
    assert found.scores.tolist() == [[1.0, 0.0]] and found.task == "Hopper-v5, hopper-medium-v2"


# -------------------------------------------------------------------------------------------------------------- the store


_FIRST = """
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
INSERT INTO runs VALUES ('fbee60426f52035ec4fe', 'sac', 'abcdef012345', 'InvertedPendulum-v5', 0, 300, 100, 1,
  '["train.batch=16"]', '{"jax": "1"}', 'm', 'finished', 20, 12.5, '2026');
INSERT INTO evaluations VALUES ('fbee60426f52035ec4fe', 100, 1.0, 1.5, NULL, 1.0, 0.0);
PRAGMA user_version = 1;
"""
"""A store as its first version was written, with the result of :func:`result`, under the id that it had."""


def test_a_store_of_the_first_version_opens_and_takes_results_with_data(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(_FIRST)
    old = result(question(0), 1.0)
    assert Store(path).results() == [old]
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,), "reading changes nothing"
    with_data = replace(result(replace(question(0), data="c" * 64), 3.0), data_name="walk")
    assert Store(path).add([old, with_data]) == 1, "what it had is there once, under the same id"
    assert Store(path).results() == [old, with_data]
    assert Store(path).add([with_data]) == 0


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_data_sets_survive_a_file(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    results = [result(question(0), 1.0), replace(result(replace(question(1), data="d" * 64), 2.0), data_name="walk")]
    exchange.write(results, tmp_path / f"results{suffix}")
    assert exchange.read(tmp_path / f"results{suffix}") == results


def test_lines_of_runs_without_data_are_those_of_before() -> None:
    (line,) = exchange.lines_of([result(question(0), 1.0)])
    assert not {"data", "data_name"} & {*line}
