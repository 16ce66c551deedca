"""Screens that cannot be written, odd surroundings of a training, and other places that texts come from and go to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl.runtime.signals import Stop

FULL = Path("/dev/full")
BROKEN = "algorithm x { polcy {} }\n"
SMALL = ["--set", "policy.network=mlp([4])", "--set", "critic.network=mlp([4])", "--set", "train.batch=4"]
TRAIN = ["train", "td3", *SMALL, "--set", "train.warmup=20", "--steps", "60", "--evaluate-every", "30", "--episodes", "1"]
TASK = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

gymnasium.register("Here-v0", lambda **options: PendulumEnv(**options), max_episode_steps=20)
"""


def run(words: list[str], folder: Path, **options) -> subprocess.CompletedProcess[str]:
    """The command line in a folder, from this checkout."""
    surroundings = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)} | options.pop("env", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-m", "flowrl_dsl.cli", *words]
    # the interpreter puts the folder of a module that it runs first; an installed command does not
    return subprocess.run(command, cwd=folder, env=surroundings | {"PYTHONSAFEPATH": "1"}, text=True, **options)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["list"], ["check", "bad.flowrl"], ["compile", "td3", "--emit", "graph"]])
def test_output_that_cannot_be_written_is_an_error_in_one_line(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.flowrl").write_text(BROKEN)
    with FULL.open("w") as full:
        done = run(words, tmp_path, stdout=full)
    assert done.returncode == 3
    assert done.stderr == "standard output cannot be written: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("words", "code"), [(["list"], 3), (["check", "bad.flowrl"], 3), ([*TRAIN, "--out", "r"], 0)])
def test_nothing_depends_on_either_stream(words: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "bad.flowrl").write_text(BROKEN)
    with FULL.open("w") as full:
        assert run(words, tmp_path, stdout=full, stderr=full).returncode == code
    assert words[0] != "train" or (tmp_path / "r/curve.png").exists()


def test_a_command_runs_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    gone = "import os, sys; os.rmdir(os.getcwd()); from flowrl_dsl.cli import main; sys.exit(main(['check', 'td3']))"
    surroundings = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", gone], cwd=folder, env=surroundings, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("text", "code"), [(BROKEN, 1), ('algorithm x extends "td3.flowrl" {}\n', 0)])
def test_the_exit_code_does_not_depend_on_who_reads_the_output(text: str, code: int, tmp_path: Path) -> None:
    """A pipe whose other end is closed."""
    (tmp_path / "x.flowrl").write_text(text)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        assert run(["check", "x.flowrl"], tmp_path, stdout=closed).returncode == code


def test_a_spec_comes_from_standard_input(tmp_path: Path) -> None:
    fine = run(["check", "-"], tmp_path, input='algorithm x extends "td3.flowrl" {}\n')
    assert (fine.returncode, fine.stdout) == (0, "")
    bad = run(["check", "-"], tmp_path, input=BROKEN)
    assert bad.returncode == 1 and "--> -:1:15" in bad.stdout and "polcy" in bad.stdout


def test_a_folder_hides_no_shipped_spec(tmp_path: Path) -> None:
    (tmp_path / "td3").mkdir()
    done = run(["check", "td3"], tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_training_outlives_its_surroundings(tmp_path: Path) -> None:
    """Its screen is full and its encoding has no "±", matplotlib has no backend, the task's module lies in this folder."""
    (tmp_path / "mine.py").write_text(TASK)
    odd = {"PYTHONIOENCODING": "ascii", "MPLBACKEND": "module://nowhere.to_be_found"}
    with open(FULL if FULL.exists() else os.devnull, "w") as full:
        done = run([*TRAIN, "--task", "mine:Here-v0", "--out", "my run"], tmp_path, stdout=full, env=odd)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "my run/metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 60 and (tmp_path / "my run/curve.png").stat().st_size > 0
    again = run(["resume", "my run"], tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert again.returncode == 0 and "flowrl-dsl resume 'my run'" in again.stdout
    assert (tmp_path / "my run/curve.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_asks_for_a_stop_and_handlers_are_put_back(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)  # under nohup, SIGHUP is ignored
    try:
        with Stop() as stop:
            os.kill(os.getpid(), number)
            assert stop.asked
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JAX_ENABLE_X64", "1", "jax_enable_x64 is True"),
        ("JAX_ENABLE_CUSTOM_PRNG", "1", "jax_enable_custom_prng is True"),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict", "jax_numpy_dtype_promotion is strict"),
        ("JAX_NUMPY_RANK_PROMOTION", "raise", "jax_numpy_rank_promotion is raise"),
        ("JAX_PLATFORMS", "nowhere", "JAX has no device"),
    ],
)
def test_settings_of_jax_that_programs_are_not_made_for_are_refused(
    variable: str, value: str, said: str, tmp_path: Path
) -> None:
    done = run([*TRAIN, "--out", "r"], tmp_path, env={variable: value})
    assert done.returncode == 3 and "error[FRL0424]" in done.stderr and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "r").exists()
