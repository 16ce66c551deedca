"""Seeds of a suite as populations: a row for each member, with the bits of a lone run, whatever ends the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from flowrl_dsl import cli, runs
from flowrl_dsl import driver as pipeline
from flowrl_dsl.suites import attempts, running, worker
from flowrl_dsl.suites.attempts import CRASHED, INTERRUPTED, JOB, RUN, Outcome, attempt, read_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.executors import local
from flowrl_dsl.suites.jobs import Job, chosen
from flowrl_dsl.suites.running import Driver
from flowrl_dsl.suites.store import Store
from tests.runtime.toy_program import ToyProgram
from tests.suites.samples import TINY, jobs, suite_file
from tests.suites.test_attempts import ROOT, TOY, when
from tests.suites.test_running import ONE, Trains

LONG = ONE.replace("steps = 300  warmup = 280", "steps = 900  warmup = 50  replay = 300").replace(
    '"Pendulum-v1"', '"InvertedPendulum-v5"'
)
"""On a task whose episodes are saved, so that a run is resumed in the middle of one."""
SOON = TOY.replace(
    "sys.exit",
    """from flowrl_dsl.runtime.settings import Settings
of = Settings.of
Settings.of = lambda *found, **given: of(*found, **(given | {"checkpoint_every": 250}))
sys.exit""",
)
"""The worker with a program that compiles at once, and more checkpoints."""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_follow", lambda parent: None)
    monkeypatch.setattr(runs, "draw_curve", lambda *_: False)
    monkeypatch.setattr(pipeline, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "runs", Store(tmp_path / "results.sqlite"))


def metrics(driver: Driver, job: Job) -> bytes:
    return (driver.folder(job) / RUN / "metrics.jsonl").read_bytes()


def test_seeds_of_a_spec_on_a_task_are_one_population(tmp_path: Path, driver: Driver) -> None:
    every = jobs(tmp_path, TINY.replace("seeds  = 2", "seeds = 3"))
    units = driver._populations([job for job in every if not (job.spec == "td3" and job.question.seed)])
    sizes = {(members[0].spec, members[0].question.task): len(members) for members in units.values()}
    assert sizes == {
        ("sac", "InvertedPendulum-v5"): 3,
        ("sac", "Pendulum-v1"): 3,
        ("td3", "InvertedPendulum-v5"): 1,
        ("td3", "Pendulum-v1"): 1,
    }
    for folder, members in units.items():
        said = json.loads((folder / JOB).read_text())
        alone = [str(driver.folder(job)) for job in members]
        assert [*said.get("members", {"": str(folder)}).values()] == alone
        assert all(json.loads((Path(one) / JOB).read_text())["spec"] for one in alone)


def test_each_member_is_a_row_with_the_bits_of_a_lone_run(
    toy: None, tmp_path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """As a user runs it, once with --population and once without."""

    def in_this_process(folder: Path, stop: object) -> Outcome | None:
        begun.append(folder)
        worker.main(folder, 0)
        return read_outcome(folder)

    begun: list[Path] = []
    monkeypatch.setattr(local, "attempt", in_this_process)
    path, two = suite_file(tmp_path, ONE), jobs(tmp_path, ONE)
    assert cli.main(["suite", "run", str(path), "--population", "--out", str(tmp_path / "together")]) == 0
    out = capsys.readouterr().out
    assert len(begun) == 1 and "1/2 sac on Pendulum-v1, seed 0: return" in out and "2/2 sac on Pendulum-v1, seed 1" in out
    together = Driver(tmp_path / "together", Store(tmp_path / "together" / "results.sqlite"))
    assert {one.question for one in together.store.results()} == {job.question for job in two}
    driver.run(two, Trains())
    assert [metrics(together, job) for job in two] == [metrics(driver, job) for job in two]
    assert [one.evaluations[-1].return_mean for one in together.store.results()] == [
        one.evaluations[-1].return_mean for one in driver.store.results()
    ]
    assert cli.main(["suite", "run", str(path), "--out", str(tmp_path / "together")]) == 0 and len(begun) == 1


def test_a_member_that_fails_is_a_row_of_its_own(
    toy: None, tmp_path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowrl_dsl.runtime.errors import RunError
    from flowrl_dsl.runtime.train import Training

    two, advance = jobs(tmp_path, ONE), Training.advance

    def fails(self: Training) -> None:
        if self.settings.seed == 1 and self.step == 150:
            raise RunError("FRL0406", "the reward is nan")
        advance(self)

    monkeypatch.setattr(Training, "advance", fails)
    driver.run(two, Trains(), population=True)
    found = {one.question.seed: one for one in driver.store.results()}
    assert (found[0].outcome, found[1].outcome) == ("finished", "FRL0406")
    assert [one.step for one in found[1].evaluations] == [100] and len(found[0].evaluations) == 3
    driver.run(two, again := Trains(), population=True)
    assert again.started == 0 and len(driver.store.results()) == 2


def test_a_population_that_crashes_is_no_result(toy: None, tmp_path: Path, driver: Driver) -> None:
    two = jobs(tmp_path, ONE)
    with pytest.raises(SuiteError) as caught:
        driver.run(two, Trains(lambda folder: Outcome(CRASHED, "killed")), population=True)
    assert caught.value.code == "FRL0503" and len(caught.value.diagnostics[0].notes) == 3
    assert driver.store.results() == []
    driver.run(two, again := Trains(), population=True)
    assert again.started == 1 and len(driver.store.results()) == 2


def test_what_a_killed_driver_left_is_recorded_once(toy: None, tmp_path: Path, driver: Driver) -> None:
    """The process has written the outcome of the first member alone when it is killed."""
    two = jobs(tmp_path, ONE)
    (folder,) = driver._populations(two)
    worker.main(folder, 0)
    for place in (folder, driver.folder(two[1])):
        (place / attempts.OUTCOME).unlink()
    before = metrics(driver, two[1])
    driver.run(two, again := Trains(), population=True)
    assert again.started == 1 and len(driver.store.results()) == 2 and metrics(driver, two[1]) == before


def soon(patch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Attempts start the worker :data:`SOON`; the processes that they start."""
    started: list[subprocess.Popen] = []
    start = subprocess.Popen

    def begin(command: list[str], **options: object) -> subprocess.Popen:
        started.append(start([sys.executable, "-c", SOON, *command[3:]], **options))  # type: ignore[call-overload]
        return started[-1]

    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setattr(attempts.subprocess, "Popen", begin)
    return started


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The records of the runs of :data:`LONG`, each in a process of its own that nothing happened to."""
    folder = tmp_path_factory.mktemp("lone")
    alone = Driver(folder, Store(folder / "results.sqlite"))
    with pytest.MonkeyPatch.context() as patch:
        soon(patch)
        two = jobs(folder, LONG)
        for job in two:
            place = alone._prepared(job)
            assert isinstance(place, Path) and attempt(place) == Outcome("finished")
    return [metrics(alone, job) for job in two]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_population_resumes_exactly(
    how: signal.Signals, lone: list[bytes], tmp_path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a checkpoint of the first member, or asked to stop there; then resumed to the bits of lone runs."""
    two = jobs(tmp_path, LONG)
    (folder,) = driver._populations(two)
    started, stop = soon(monkeypatch), Event()
    first = driver.folder(two[0]) / RUN / "checkpoints" / "step-000000250"
    act = stop.set if how is signal.SIGTERM else (lambda: os.kill(started[0].pid, how))
    when(first, act)
    outcome = attempt(folder, stop)
    if how is signal.SIGTERM:
        assert outcome == Outcome(INTERRUPTED) and all(read_outcome(driver.folder(job)) is None for job in two)
        assert {state.what for state in running.states(two, driver)} == {"begun"}
        outcome = attempt(folder)
    assert outcome == Outcome("finished") and len(started) == 2
    driver.run(two, again := Trains(), population=True)
    assert again.started == 0 and len(driver.store.results()) == 2
    assert [metrics(driver, job) for job in two] == lone


def test_a_part_of_a_population_was_trained_alone(toy: None, tmp_path: Path, driver: Driver) -> None:
    three = jobs(tmp_path, ONE.replace("seeds  = 2", "seeds = 3"))
    driver.run(chosen(three, None, None, [1]), Trains())
    driver.run(three, later := Trains(), population=True)
    assert later.started == 1 and sorted(one.question.seed for one in driver.store.results()) == [0, 1, 2]
