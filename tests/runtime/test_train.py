"""The loop: what it does when, and that a run killed at any moment goes on as if it had not been."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl.runtime import files, guard
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.logs import RunFolder
from tests import needs
from tests.runtime.test_checkpoint import Killed, _identical
from tests.runtime.toy_program import ToyProgram
from tests.runtime.toy_run import train

ROOT = Path(__file__).parents[2]


def _result(folder: Path) -> tuple[bytes, dict, object, np.ndarray]:
    loaded = Checkpoints(folder).load()
    assert loaded is not None
    return (folder / "metrics.jsonl").read_bytes(), loaded.state, loaded.rest, loaded.rows


def _same(one: Path, two: Path) -> None:
    """Metrics, parameters, environments, generators and replay are equal bit for bit."""
    first, second = _result(one), _result(two)
    assert first[0] == second[0]
    assert _identical(first[1], second[1]) and _identical(first[2], second[2]) and np.array_equal(first[3], second[3])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(folder)
    return folder


def _records(folder: Path, kind: str) -> list[dict]:
    return [record for record in RunFolder(folder).records() if record["kind"] == kind]


def test_everything_happens_at_its_step(undisturbed: Path) -> None:
    trained, evaluated = _records(undisturbed, "train"), _records(undisturbed, "eval")
    assert [record["step"] for record in trained] == list(range(50, 601, 50))
    assert [record["updates"] for record in trained] == list(range(0, 551, 50))
    assert [record["step"] for record in evaluated] == [250, 500, 600]
    assert {"return_mean", "return_std", "return_min", "return_max"} <= set(evaluated[0])
    assert "critic.loss" not in trained[0] and trained[1]["critic.loss"] > 0 and trained[1]["never"] is None
    assert [path.name for path in Checkpoints(undisturbed).steps()] == ["step-000000500", "step-000000600"]
    assert b"time" not in (undisturbed / "metrics.jsonl").read_bytes()


def test_the_csv_holds_the_same_numbers(undisturbed: Path) -> None:
    lines = (undisturbed / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + len(RunFolder(undisturbed).records())
    columns = lines[0].split(",")
    last = dict(zip(columns, lines[-1].split(","), strict=True))
    assert float(last["return_mean"]) == _records(undisturbed, "eval")[-1]["return_mean"] and last["updates"] == ""


@pytest.mark.parametrize(
    "options",
    needs.marked(
        {"task": "dm_control/cartpole-swingup", "action_repeat": 2},
        {"task": "Hopper-v5", "envs": 3, "updates": 2, "replay": 128, "checkpoint_every": 70},
    ),
)
def test_runs_stopped_anywhere_are_equal_too(tmp_path: Path, monkeypatch, options: dict) -> None:
    options = {"steps": 300, "evaluate_every": 300, "episodes": 1} | options
    train(tmp_path / "whole", **options)
    for after in (2, 23, 40):
        _stop_after(after, tmp_path / "parts", options, monkeypatch)
    train(tmp_path / "parts", **options)
    _same(tmp_path / "whole", tmp_path / "parts")


def _stop_after(operations: int, folder: Path, options: dict, monkeypatch) -> None:
    left = [operations]

    def announce(action: str, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(files, "announce", announce)
        train(folder, **options)


def test_a_process_killed_again_and_again_ends_with_the_same_run(undisturbed: Path, tmp_path: Path) -> None:
    """SIGKILL, inside checkpoint writes and anywhere else, until the run is through."""
    chance, folder = random.Random(20), tmp_path / "run"
    command = [sys.executable, "-m", "tests.runtime.toy_run", str(folder)]
    # while run.json is written, in the middle of checkpoints, and at a moment given by the clock
    for operation in (chance.randrange(1, 4), chance.randrange(12, 30), chance.randrange(20, 45)):
        killed = subprocess.run([*command, f"die_at={operation}"], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
    running = subprocess.Popen(command, cwd=ROOT)
    try:
        running.wait(timeout=chance.uniform(2.0, 3.0))
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    _same(undisturbed, folder)


def test_ctrl_c_writes_a_checkpoint_and_the_run_goes_on_equal(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        train(folder, at_log=lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 250 else None)
    assert signal.getsignal(signal.SIGINT) is before
    loaded = Checkpoints(folder).load()
    # the evaluation due at this step still happens, and belongs to the checkpoint
    assert loaded is not None and loaded.step == 250 and len(_records(folder, "eval")) == 1
    train(folder)
    _same(undisturbed, folder)


@pytest.mark.parametrize(
    ("second", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Interrupted)], ids=["ctrl-c", "cluster"]
)
def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, second: int, ends: type[BaseException]) -> None:
    """The second signal of a cluster does: the checkpoint of the first one is written."""

    def twice(step: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), second)

    with pytest.raises(ends):
        train(tmp_path / "run", at_log=twice)
    assert any((tmp_path / "run" / "checkpoints").glob("step-*")) == (ends is Interrupted)


def test_a_finished_run_has_nothing_left_to_do(undisturbed: Path) -> None:
    before = _result(undisturbed)[0]
    train(undisturbed)
    assert _result(undisturbed)[0] == before


def test_one_process_at_a_time(undisturbed: Path) -> None:
    with RunFolder(undisturbed).locked(), pytest.raises(RunError, match="FRL0415"):
        train(undisturbed)


def test_a_full_disk_is_an_error_and_the_run_goes_on_when_there_is_room(undisturbed: Path, tmp_path: Path, monkeypatch):
    writes = []

    def full(action: str, path: Path) -> None:
        writes.append(path)
        if len(writes) > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "announce", full)
        with pytest.raises(RunError, match=r"FRL0410.*No space left"):
            train(tmp_path / "run")
    train(tmp_path / "run")
    _same(undisturbed, tmp_path / "run")


class _FullDisk(io.FileIO):
    def write(self, data) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_metrics_that_cannot_be_written_are_an_error_without_a_second_one_at_the_end(tmp_path: Path, monkeypatch) -> None:
    opened = files.open_to_append

    def full(path: Path) -> io.FileIO:
        return _FullDisk(path, "ab") if path.suffix == ".jsonl" else opened(path)

    monkeypatch.setattr(files, "open_to_append", full)
    with pytest.raises(RunError, match=r"FRL0410.*No space left"):
        train(tmp_path / "run")


@pytest.mark.parametrize("name", ["metrics.jsonl", "tensorboard", "checkpoints", "checkpoints/replay"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = RunFolder.create(tmp_path, "toy", "task", 0, {}, out=tmp_path / "run").path
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(RunError, match=r"FRL0411.*leads out of the run folder"):
        train(folder)
    assert list(outside.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="FRL0410"):
        RunFolder.create(tmp_path, "toy", "task", 0, {}, out=tmp_path / "file" / "run")


def test_run_folders_are_never_overwritten(tmp_path: Path) -> None:
    paths = [RunFolder.create(tmp_path, "qsm", "dm_control/a-b", 3, {}).path for _ in range(3)]
    home = tmp_path / "qsm" / "dm_control_a-b"
    assert paths == [home / "seed3", home / "seed3-2", home / "seed3-3"]
    with pytest.raises(RunError, match="FRL0414"):
        RunFolder.create(tmp_path, "qsm", "task", 0, {}, out=paths[0])
    with pytest.raises(RunError, match="FRL0411"):
        RunFolder(tmp_path)


def test_a_shortened_metrics_file_is_noticed(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=200)
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(RunError, match="FRL0412"):
        train(tmp_path / "run", steps=300)


@pytest.mark.parametrize(
    ("bad", "options"),
    [(230, {}), (0, {}), (37, {"warmup": 120}), (301, {"updates": 2, "envs": 2, "replay": 90})],
)
def test_an_update_that_is_not_finite_is_found_and_can_be_looked_at_again(tmp_path: Path, bad: int, options: dict):
    folder = tmp_path / "run"
    with pytest.raises(RunError) as caught:
        train(folder, blow_up_at=bad, **options)
    found = caught.value.diagnostics[0]
    assert found.code == "FRL0420" and f'update {bad} is first not finite at node "critic.loss"' in found.message
    assert str(found.span) == "toy.flowrl:3:5" and "flowrl-dsl diagnose" in found.notes[0]
    loaded = Checkpoints(folder).load()
    assert loaded is None or loaded.state["['bad_update']"] == -1
    state = dict(np.load(folder / "nonfinite/state.npz"))
    assert state["_['step']"] == bad and state["_['bad_update']"] == -1
    report = json.loads((folder / "nonfinite/report.json").read_text())
    assert report["update"] == bad and report["node"] == "critic.loss"
    again = guard.again(ToyProgram(4, 1, blow_up_at=bad), RunFolder(folder), 3)
    assert again is not None and again.diagnostics[0].message == found.message
    assert guard.again(ToyProgram(4, 1), RunFolder(folder), 3) is None


def test_the_saved_state_is_the_one_before_the_bad_update(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        train(tmp_path / "bad", blow_up_at=230)
    # updates begin after 50 steps, so that 230 of them have been done after 280
    train(tmp_path / "good", steps=280)
    good = Checkpoints(tmp_path / "good").load()
    saved = dict(np.load(tmp_path / "bad/nonfinite/state.npz"))
    assert good is not None and {f"_{name}" for name in good.state} == set(saved)
    assert all(np.array_equal(saved[f"_{name}"], array) for name, array in good.state.items())


def test_a_run_without_a_bad_update_has_nothing_to_diagnose(undisturbed: Path) -> None:
    with pytest.raises(RunError, match="FRL0422"):
        guard.again(ToyProgram(4, 1), RunFolder(undisturbed), 3)
