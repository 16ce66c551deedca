"""Resuming: what a run says about its past, more steps, and lost checkpoints."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli, driver, exits, populations, runs
from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import RunError
from tests.runtime.test_checkpoint import Killed
from tests.runtime.toy_program import ToyProgram, toy_program

TRAIN = ["train", "qsm", "--set", "train.warmup=50", "--set", "train.batch=16", "--episodes", "1"]
TRAIN += ["--checkpoint-every", "100", "--evaluate-every", "100"]


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: toy_program(*sizes))
    monkeypatch.setattr(runs, "draw_curve", lambda paths, output: None)


def _train(out: str, steps: int, *words: str) -> None:
    assert cli.main([*TRAIN, "--steps", str(steps), "--out", out, *words]) == exits.OK


def _refused(capsys, *words: str) -> str:
    capsys.readouterr()
    assert cli.main(list(words)) == exits.RUN_FAILURE
    return capsys.readouterr().err


def _said(run: str) -> dict:
    return json.loads(Path(run, "run.json").read_text())


def _edit(run: str, **values: object) -> None:
    Path(run, "run.json").write_text(json.dumps(_said(run) | values))


def _assert_equal(one: str, other: str) -> None:
    left, right = (Checkpoints(Path(run)).load() for run in (one, other))
    assert left is not None and right is not None and left.step == right.step
    assert all(np.array_equal(left.state[name], right.state[name]) for name in right.state)
    assert np.array_equal(left.rows, right.rows)


def test_an_extended_run_is_bit_for_bit_one_of_the_greater_length(capsys) -> None:
    _train("long", 2000)
    _train("short", 1000)
    capsys.readouterr()
    assert cli.main(["resume", "short", "--steps", "2_000"]) == exits.OK
    assert "note: short is extended from 1000 to 2000 steps\n" in capsys.readouterr().out
    _assert_equal("short", "long")
    assert Path("short/metrics.jsonl").read_bytes() == Path("long/metrics.jsonl").read_bytes()
    said = _said("short")
    assert said["extended"] == [{"before": 1000, "after": 2000, "at": 1000}]
    assert said["given"]["steps"] == said["settings"]["steps"] == 2000
    assert cli.main(["resume", "short"]) == exits.OK and "already finished" in capsys.readouterr().out


def test_a_record_at_the_former_end_is_announced_and_changes_nothing_else(capsys) -> None:
    _train("long", 300)
    _train("short", 150)
    capsys.readouterr()
    assert cli.main(["resume", "short", "--steps", "300"]) == exits.OK
    assert "it keeps the train and eval record of step 150" in capsys.readouterr().out
    _assert_equal("short", "long")
    records = {
        run: [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()] for run in ("short", "long")
    }
    evaluations = {run: [r for r in found if r["kind"] == "eval" and r["step"] != 150] for run, found in records.items()}
    assert evaluations["short"] == evaluations["long"]


def test_a_run_can_only_grow(capsys) -> None:
    _train("run", 200)
    before = Path("run/run.json").read_bytes()
    assert "error[FRL0426]" in _refused(capsys, "resume", "run", "--steps", "100")
    assert Path("run/run.json").read_bytes() == before
    assert cli.main(["resume", "run", "--steps", "200"]) == exits.OK and "extended" not in _said("run")


def test_a_run_whose_state_has_the_size_of_its_replay_is_not_extended(monkeypatch, capsys) -> None:
    class Prioritized(ToyProgram):
        def init(self, seed: int) -> dict:
            return super().init(seed) | {"memory": np.zeros(self.rows, np.float32)}

    def build(algorithm, *sizes: int, capacity: int, **_) -> ToyProgram:
        program = Prioritized(*sizes)
        program.rows = capacity
        return program

    monkeypatch.setattr(driver, "build_program", build)
    _train("run", 60)
    before = Path("run/run.json").read_bytes()
    assert "start a new run with --steps 90" in _refused(capsys, "resume", "run", "--steps", "90")
    assert Path("run/run.json").read_bytes() == before


def test_a_population_is_extended_as_a_whole(capsys) -> None:
    _train("short", 100, "--seeds", "2")
    _train("long", 200, "--seeds", "2")
    assert cli.main(["resume", "short", "--steps", "200"]) == exits.OK
    for seed in ("seed0", "seed1"):
        _assert_equal(f"short/{seed}", f"long/{seed}")
        assert _said(f"short/{seed}")["extended"] == [{"before": 100, "after": 200, "at": 100}]


def test_an_extension_of_a_population_that_was_stopped_can_be_repeated(monkeypatch, capsys) -> None:
    _train("p", 100, "--seeds", "2")

    def announce(action: str, path: Path) -> None:
        if action == "rename" and path.name == "run.json" and path.parent.name == "seed1":
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(files, "announce", announce)
        cli.main(["resume", "p", "--steps", "200"])
    said = _refused(capsys, "resume", "p")
    assert "error[FRL0411]" in said and "resume --steps" in said
    assert cli.main(["resume", "p", "--steps", "200"]) == exits.OK
    assert [_said(f"p/seed{k}")["settings"]["steps"] for k in (0, 1)] == [200, 200]


def test_other_versions_and_devices_are_reported(capsys) -> None:
    _train("run", 100)
    assert cli.main(["resume", "run"]) == exits.OK and "note:" not in capsys.readouterr().out
    _edit("run", versions=_said("run")["versions"] | {"jax": "0.0.1", "numpy": "1.0"}, device="abacus")
    assert cli.main(["resume", "run"]) == exits.OK
    said = capsys.readouterr().out
    assert "jax 0.0.1 -> " in said and "numpy 1.0 -> " in said and "device abacus -> " in said and "flax" not in said


def _damage_all(run: str) -> None:
    for path in Path(run, "checkpoints").glob("step-*/state.npz"):
        path.write_bytes(b"")


@pytest.mark.parametrize("lose", [_damage_all, lambda run: shutil.rmtree(f"{run}/checkpoints")])
def test_a_run_that_lost_its_checkpoints_is_begun_again_only_if_asked_to(lose, capsys, tmp_path: Path) -> None:
    _train("run", 2000)
    records = Path("run/metrics.jsonl").read_bytes()
    lose("run")
    said = _refused(capsys, "resume", "run")
    assert "error[FRL0425]" in said and "flowrl-dsl resume run --restart" in said
    assert Path("run/metrics.jsonl").read_bytes() == records
    assert cli.main(["resume", "run", "--restart"]) == exits.OK
    assert Path("run/metrics.jsonl").read_bytes() == records and Checkpoints(tmp_path / "run").load() is not None


@pytest.mark.parametrize(("answer", "code"), [("y", exits.OK), ("", exits.RUN_FAILURE)])
def test_a_user_at_a_terminal_is_asked(monkeypatch, capsys, answer: str, code: int) -> None:
    _train("run", 200)
    _damage_all("run")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert cli.main(["resume", "run"]) == code


def test_restart_keeps_an_intact_checkpoint(capsys) -> None:
    _train("run", 200)
    assert cli.main(["resume", "run", "--restart"]) == exits.OK and "already finished" in capsys.readouterr().out


def test_a_population_needs_files(monkeypatch, capsys) -> None:
    limits = [(256, 512)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: limits.append(new))
    with pytest.raises(RunError, match=r"FRL0427.*200 runs need about 864 open files"):
        populations.train(runs.TrainArguments("qsm", "InvertedPendulum-v5"), 200, [])
    populations._allow_open_files(100)
    assert limits == [(256, 512), (464, 512)]
    populations._allow_open_files(2)
    assert len(limits) == 2 and not Path("runs").exists()
