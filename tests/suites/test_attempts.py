"""The process of a run: killed in mid-run and resumed, it ends with the bits of a run that nobody touched."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from flowrl_dsl.suites import attempts, worker
from flowrl_dsl.suites.attempts import CRASHED, DISK, INTERRUPTED, JOB, LOG, RUN, Outcome, attempt, read_outcome
from flowrl_dsl.suites.executors.base import EXECUTORS, Resources, executor

TOY = """
import sys
from pathlib import Path
from flowrl_dsl import driver, runs
from flowrl_dsl.suites import worker
from tests.runtime.toy_program import ToyProgram
driver.build_program = lambda algorithm, *sizes, **_: ToyProgram(*sizes)
runs.draw_curve = lambda *_: False
sys.exit(worker.main(Path(sys.argv[1]), int(sys.argv[2])))
"""
"""The worker with a program that compiles at once."""
COUNTS = {"steps": 6_000, "warmup": 50, "replay": 300, "batch": 16, "evaluate_every": 3_000, "episodes": 1}
SETS = [f"train.{name}={count}" for name, count in COUNTS.items()]
ROOT = Path(__file__).parents[2]


def job_folder(folder: Path, task: str = "InvertedPendulum-v5", sets: list[str] = SETS) -> Path:
    folder.mkdir()
    (folder / JOB).write_text(json.dumps({"spec": "sac", "task": task, "seed": 0, "sets": sets}))
    return folder


@pytest.fixture
def toy_worker(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Attempts start the worker with the toy program; the processes that they start."""
    started: list[subprocess.Popen] = []
    start = subprocess.Popen

    def toy(command: list[str], **how: object) -> subprocess.Popen:
        started.append(start([sys.executable, "-c", TOY, *command[3:]], **how))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(attempts.subprocess, "Popen", toy)
    return started


def when(happens: Path, act) -> None:
    """Call a function once a file exists."""

    def wait() -> None:
        while not happens.exists():
            time.sleep(0.01)
        act()

    Thread(target=wait, daemon=True).start()


def test_a_worker_killed_in_mid_run_is_resumed_to_the_same_bits(toy_worker: list[subprocess.Popen], tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "killed")
    first = folder / RUN / "checkpoints" / "step-000005000"
    when(first, lambda: os.kill(toy_worker[0].pid, signal.SIGKILL))
    assert attempt(folder) == Outcome("finished") and len(toy_worker) == 2
    alone = job_folder(tmp_path / "alone")
    assert attempt(alone) == Outcome("finished") and len(toy_worker) == 3
    assert (folder / RUN / "metrics.jsonl").read_bytes() == (alone / RUN / "metrics.jsonl").read_bytes()


def test_a_stopped_run_writes_a_checkpoint(toy_worker: list[subprocess.Popen], tmp_path: Path) -> None:
    folder, stop = job_folder(tmp_path / "stopped", sets=["train.steps=1_000_000", *SETS[1:]]), Event()
    when(folder / RUN / "timing.jsonl", stop.set)
    assert attempt(folder, stop) == Outcome(INTERRUPTED) and read_outcome(folder) is None
    assert "interrupted at step" in (folder / LOG).read_text() and len(toy_worker) == 1


def test_an_error_is_the_outcome(toy_worker: list[subprocess.Popen], tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "wrong", task="Pendulun-v1")
    outcome = attempt(folder)
    assert outcome.status == "FRL0401" and read_outcome(folder) == outcome
    assert "error[FRL0401]" in (folder / LOG).read_text()


def test_a_process_that_always_dies_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    codes = iter([-9] * attempts.ATTEMPTS)
    monkeypatch.setattr(attempts, "_process", lambda folder, stop: next(codes))
    (tmp_path / LOG).write_text("first\nKilled\n")
    outcome = attempt(tmp_path)
    assert outcome.status == CRASHED and outcome.message.endswith("with -9: Killed")


def test_a_process_without_space_for_its_outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "_follow", lambda parent: None)
    monkeypatch.setattr(worker, "_train", lambda folder: full())
    assert worker.main(tmp_path, 0) == attempts.NO_SPACE
    monkeypatch.setattr(attempts, "_process", lambda folder, stop: attempts.NO_SPACE)
    assert attempt(tmp_path).status == DISK
    monkeypatch.setattr(attempts, "_process", full)
    assert attempt(tmp_path).status == DISK


def test_a_worker_follows_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(worker.os, "kill", lambda *what: sent.append(what))
    worker._follow(os.getppid() + 1)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_a_folder_that_another_process_still_holds_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flowrl_dsl.runtime.errors import RunError

    held = iter([True, True, False])
    done = []

    def once(folder: Path) -> None:
        if next(held):
            raise RunError("FRL0415", "another process is training there")
        done.append(folder)

    monkeypatch.setattr(worker, "_once", once)
    monkeypatch.setattr(worker.time, "sleep", lambda seconds: None)
    worker._train(tmp_path)
    assert done == [tmp_path]


# --------------------------------------------------------------------------------------------------------- executors


@pytest.mark.parametrize("stop_after", [None, 1])
def test_local_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop_after: int | None) -> None:
    """Every folder is attempted once; after the report that asks for the end no other one is begun."""
    from flowrl_dsl.suites.executors import local

    begun: list[Path] = []

    def fake(folder: Path, stop: Event) -> Outcome:
        begun.append(folder)
        return Outcome("finished")

    monkeypatch.setattr(local, "attempt", fake)
    reported: list[Path] = []

    def report(folder: Path, outcome: Outcome) -> bool:
        reported.append(folder)
        return len(reported) != stop_after

    folders = [tmp_path / str(k) for k in range(5)]
    executor("local", Resources(at_once=1)).execute(folders, report)
    assert begun[: len(reported)] == reported and set(reported) <= set(folders)
    assert len(reported) == 5 if stop_after is None else len(reported) < 5


def test_a_run_that_ends_unasked_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody has sent SIGTERM to its process: it has no result, and the suite goes on."""
    from flowrl_dsl.suites.executors import local

    monkeypatch.setattr(local, "attempt", lambda folder, stop: Outcome(INTERRUPTED if folder.name == "0" else "finished"))
    reported: dict[str, Outcome] = {}
    executor("local", Resources(at_once=1)).execute(
        [tmp_path / "0", tmp_path / "1"], lambda folder, outcome: reported.setdefault(folder.name, outcome) is not None
    )
    assert reported == {"0": Outcome(INTERRUPTED), "1": Outcome("finished")}


def test_an_error_of_the_report_stops_the_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flowrl_dsl.suites.executors import local

    def fake(folder: Path, stop: Event) -> Outcome:
        if folder.name != "0":
            assert stop.wait(60)
        return Outcome("finished" if folder.name == "0" else INTERRUPTED)

    def report(folder: Path, outcome: Outcome) -> bool:
        raise ValueError("no store")

    monkeypatch.setattr(local, "attempt", fake)
    with pytest.raises(ValueError, match="no store"):
        executor("local", Resources(at_once=2)).execute([tmp_path / "0", tmp_path / "1"], report)


@pytest.mark.parametrize("name", [name for name in EXECUTORS if name != "local"])
def test_a_missing_library_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flowrl_dsl.suites.errors import SuiteError

    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[name], None)
    with pytest.raises(SuiteError) as caught:
        executor(name, Resources()).execute([tmp_path / "a" / "b" / "c"], lambda *_: True)
    assert caught.value.code == "FRL0505" and f"flowrl-dsl[{name}]" in caught.value.diagnostics[0].notes[0]
