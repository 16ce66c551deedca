"""Real specs on real tasks through the command line: training, sudden death, and an update that is not finite."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TINY = ("policy.network=mlp([16])", "critic.network=mlp([16])", "train.batch=16", "train.warmup=100")
STEPS = 1200


def _command(spec: str, out: Path, *sets: str) -> list[str]:
    options = ["--steps", str(STEPS), "--evaluate-every", "400", "--episodes", "2", "--checkpoint-every", "150"]
    words = [word for text in (*TINY, *sets) for word in ("--set", text)]
    return [sys.executable, "-m", "flowrl_dsl.cli", "train", spec, "--out", str(out), *options, *words]


def _resume(out: Path) -> list[str]:
    return [sys.executable, "-m", "flowrl_dsl.cli", "resume", str(out)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Processes share a compilation cache of their own: each program is compiled once, and what a kill leaves stays here.

    They compile as a user's do, and not as other tests.
    """
    cache = str(tmp_path_factory.mktemp("cache"))
    own = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": cache, "JAX_COMPILATION_CACHE_DIR": cache}
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | own


@pytest.fixture(scope="module")
def debugging(environment) -> dict[str, str]:
    """Compiled as in other tests: programs with checks of each value are no other process's, and no bits are compared."""
    flags = {name: value for name, value in os.environ.items() if name == "XLA_FLAGS"}
    return environment | flags | {"JAX_DEBUG_NANS": "1", "JAX_DEBUG_INFS": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, environment) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    done = subprocess.run(_command("td3", out), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def _final_arrays(run: Path) -> dict[str, np.ndarray]:
    (newest,) = sorted((run / "checkpoints").glob("step-*"))[-1:]
    with np.load(newest / "state.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _assert_equal_runs(one: Path, other: Path) -> None:
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    left, right = _final_arrays(one), _final_arrays(other)
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)


def test_a_run_leaves_all_its_records(undisturbed: Path) -> None:
    names = {
        "run.json",
        "resolved.flowrl",
        "spec",
        "metrics.jsonl",
        "metrics.csv",
        "tensorboard",
        "checkpoints",
        "curve.png",
    }
    assert names <= {path.name for path in undisturbed.iterdir()}
    records = [json.loads(line) for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["kind"] == "eval"] == [400, 800, 1200]
    assert all(np.isfinite(r["critic_loss"]) for r in records if r["kind"] == "train" and r["updates"] > 0)


def test_a_run_killed_at_random_moments_ends_bit_for_bit_the_same(undisturbed: Path, tmp_path: Path, environment) -> None:
    out = tmp_path / "killed"
    moments = random.Random(0)
    kills, command = 0, _command("td3", out)
    for _ in range(40):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        killed = _kill_after_progress(process, out, moments.uniform(0.0, 0.5) if kills < 3 else None)
        command = _resume(out) if (out / "run.json").exists() else command
        if not killed:
            break
        kills += 1
    assert process.returncode == 0 and kills >= 2
    _assert_equal_runs(undisturbed, out)


def _kill_after_progress(process: subprocess.Popen, out: Path, delay: float | None) -> bool:
    """SIGKILL a while after the next checkpoint appears (``delay`` seconds, so also during the one after it).

    Returns whether it was still running; without a delay, waits for its end.
    """
    if delay is not None:
        before = _checkpoints(out)
        while process.poll() is None and _checkpoints(out) == before:
            time.sleep(0.005)
        time.sleep(delay)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
    process.wait(timeout=300)
    return False


def _checkpoints(out: Path) -> set[str]:
    folder = out / "checkpoints"
    return {path.name for path in folder.glob("step-*")} if folder.is_dir() else set()


def test_an_update_that_is_not_finite_is_traced_to_its_line(tmp_path: Path, environment) -> None:
    """A learning rate of 1e30 throws the critic away; the next value computed from it is not finite."""
    out = tmp_path / "boom"
    command = _command("td3", out, "critic.optimizer.learning_rate=1e30")
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 3
    assert "FRL0420" in failed.stderr and "Traceback" not in failed.stderr
    assert "critic.q" in failed.stderr and "specs/td3.flowrl:1" in failed.stderr
    assert {path.name for path in (out / "nonfinite").iterdir()} == {"state.npz", "batch.npz", "report.json"}
    command = [sys.executable, "-m", "flowrl_dsl.cli", "diagnose", str(out)]
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 3 and "FRL0420" in again.stderr


DELAYED = """algorithm delayed "A temperature that is learned in every sixth update" extends "sac.flowrl" {
  order = [critic, every(2, policy -> every(3, temperature))] -> targets
}
"""
UNREACHED = DELAYED.replace("every(3,", "after(1_000_000,")


SPECS = {"td3": ("td3", None), "learned parameter": (DELAYED, True), "never reached": (UNREACHED, False)}


@pytest.mark.parametrize(("spec", "learns"), SPECS.values(), ids=SPECS)
def test_stages_that_rest_do_not_stop_the_debuggers_of_jax(spec: str, learns: bool | None, tmp_path, debugging) -> None:
    """JAX_DEBUG_NANS and JAX_DEBUG_INFS raise an error at any result that contains NaN or infinity.

    The metrics of a stage that never ran are null.
    """
    (tmp_path / "delayed.flowrl").write_text(spec)
    command = _command(spec if learns is None else str(tmp_path / "delayed.flowrl"), tmp_path / "run")
    command += ["--steps", "160", "--evaluate-every", "160"]
    done = subprocess.run(command, env=debugging, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    trained = [record for record in records if record.get("updates")]
    assert trained and not any(name.startswith("ran.") for record in records for name in record)
    for record in trained:
        assert np.isfinite([record["critic_loss"], record["policy_loss"]]).all()
        assert learns is None or (record["temperature_loss"] is not None) == learns
