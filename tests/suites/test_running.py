"""The driver: what it runs, what it records, and that nothing is lost or made twice whatever ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowrl_dsl import driver as pipeline
from flowrl_dsl import runs
from flowrl_dsl.suites import running, worker
from flowrl_dsl.suites.attempts import CRASHED, DISK, JOB, RUN, Outcome, read_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.executors.base import Executor, Report, Resources
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.running import Driver
from flowrl_dsl.suites.store import Store
from tests.runtime.toy_program import ToyProgram
from tests.suites.samples import TINY, jobs, result_for

ONE = TINY.replace("specs  = [sac, td3]", "specs = [sac]").replace('"InvertedPendulum-v5", ', "")


class Trains(Executor):
    """Runs in this process, with a program that compiles at once; ``before`` is called with each folder."""

    def __init__(self, before: Callable[[Path], Outcome | None] = lambda folder: None):
        super().__init__(Resources())
        self.before, self.started = before, 0

    def execute(self, folders: Sequence[Path], report: Report) -> None:
        for folder in folders:
            self.started += 1
            outcome = self.before(folder)
            if outcome is None:
                worker.main(folder, 0)
                outcome = read_outcome(folder)
                assert outcome is not None
            if not report(folder, outcome):
                return


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_follow", lambda parent: None)
    monkeypatch.setattr(runs, "draw_curve", lambda *_: False)
    monkeypatch.setattr(pipeline, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))


@pytest.fixture
def two(tmp_path: Path) -> list[Job]:
    return jobs(tmp_path, ONE)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "runs", Store(tmp_path / "results.sqlite"))


def test_every_run_is_recorded_once(toy: None, two: list[Job], driver: Driver, capsys: pytest.CaptureFixture) -> None:
    driver.run(two, first := Trains())
    results = driver.store.results()
    assert first.started == 2 and [one.question for one in results] == [job.question for job in two]
    assert [one.step for one in results[0].evaluations] == [100, 200, 300]
    assert all(one.machine and "jax" in json.loads(one.software) for one in results)
    driver.run(two, again := Trains())
    assert again.started == 0 and driver.store.results() == results
    assert "2 runs, of which 2 are in" in capsys.readouterr().out


def test_what_ended_without_a_driver_is_recorded_and_not_run_again(toy: None, two: list[Job], driver: Driver) -> None:
    class Killed(Trains):
        def execute(self, folders: Sequence[Path], report: Report) -> None:
            super().execute(folders[:1], lambda folder, outcome: True)

    driver.run(two, Killed())
    assert driver.store.results() == []
    driver.run(two, later := Trains())
    assert later.started == 1 and len(driver.store.results()) == 2


def test_a_run_that_ends_in_values_that_are_not_finite_is_a_result(
    toy: None, two: list[Job], driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = iter([ToyProgram(3, 1, blow_up_at=5), ToyProgram(3, 1)])
    monkeypatch.setattr(pipeline, "build_program", lambda *_, **__: next(programs))
    driver.run(two, Trains())
    assert [one.outcome for one in driver.store.results()] == ["FRL0420", "finished"]
    assert {state.what for state in running.states(two, driver)} == {"failed", "finished"}
    assert running.status(two, driver).splitlines()[0] == "2 runs: 1 finished, 1 failed, 0 begun, 0 waiting"
    driver.run(two, again := Trains())
    assert again.started == 0


def test_a_run_that_crashes_is_no_result_and_is_tried_again(toy: None, two: list[Job], driver: Driver) -> None:
    crash = Outcome(CRASHED, "killed")
    with pytest.raises(SuiteError) as caught:
        driver.run(two, Trains(lambda folder: crash if folder.name.endswith("seed0") else None))
    assert caught.value.code == "FRL0503" and "seed 0: crashed killed" in caught.value.diagnostics[0].notes[0]
    driver.run(two, again := Trains())
    assert again.started == 1 and len(driver.store.results()) == 2


def test_a_full_disk_stops_the_suite_and_loses_nothing(toy: None, two: list[Job], driver: Driver) -> None:
    full = Outcome(DISK, "no space left")
    with pytest.raises(SuiteError) as caught:
        driver.run(two, stopped := Trains(lambda folder: full if folder.name.endswith("seed0") else None))
    assert caught.value.code == "FRL0502" and stopped.started == 1
    driver.run(two, again := Trains())
    assert again.started == 2 and len(driver.store.results()) == 2


def test_a_store_that_cannot_be_written_loses_no_run(toy: None, two: list[Job], driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError) as caught:
        Driver(driver.root, Store(tmp_path / "file" / "results.sqlite")).run(two, Trains())
    assert caught.value.code == "FRL0501"
    driver.run(two, again := Trains())
    assert again.started == 1 and len(driver.store.results()) == 2


def test_a_changed_spec_is_another_run(toy: None, two: list[Job], driver: Driver, tmp_path: Path) -> None:
    driver.store.add([result_for(job, 1.0) for job in two])
    changed = jobs(tmp_path, ONE.replace("mlp([8])", "mlp([9])"))
    driver.run(changed, made := Trains())
    assert made.started == 2 and len(driver.store.results()) == 4


def test_how_far_runs_are(toy: None, two: list[Job], driver: Driver) -> None:
    driver.store.add([result_for(two[1], 1.0)])
    assert [state.what for state in running.states(two, driver)] == ["waiting", "finished"]
    folder = driver._prepared(two[0])
    worker._train(folder)
    (begun, _) = running.states(two, driver)
    assert (begun.what, begun.step) == ("begun", 300)
    assert "begun: sac on Pendulum-v1, seed 0, step 300 of 300" in running.status(two, driver)
    assert json.loads((folder / JOB).read_text())["task"] == "Pendulum-v1" and (folder / RUN / "run.json").exists()


def test_what_cannot_run_here_is_named(tmp_path: Path) -> None:
    text = ONE.replace('"Pendulum-v1"', '"Pendulum-v1", "Pendulun-v1"').replace("[sac]", "[sac, bc]")
    found = jobs(tmp_path, text)
    absent = running.missing(found)
    assert [*absent] == ["Pendulun-v1", "bc"]
    assert {str(job) for job in running.possible(found, absent)} == {f"sac on Pendulum-v1, seed {seed}" for seed in (0, 1)}
    with pytest.raises(SuiteError) as caught:
        running.check_runnable(found)
    assert caught.value.code == "FRL0506" and caught.value.diagnostics[0].notes[1].startswith("bc: ")


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (120, "2 min"), (9000, "2.5 h"), (200_000, "2.3 days")])
def test_durations(seconds: float, text: str) -> None:
    assert running.duration(seconds) == text
