"""Runs that begin with the policy of an earlier one: from a data set to on-policy updates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from flowrl_dsl import cli, driver, inheriting, runs
from flowrl_dsl.runtime import inherited, learner
from flowrl_dsl.runtime.loading import load_state
from flowrl_dsl.runtime.logs import RunFolder
from tests.components.test_denoising_steps import DENOISED
from tests.datasets.files import write_hdf5
from tests.test_offline import records

TASK = "InvertedPendulum-v5"
POLICY = "backbone = diffusion(obs = [4], time = fourier(4))  network = mlp([8])"
BC = f"""
algorithm cloned {{
  regime = offline
  policy {{ {POLICY}  sampler = ddpm(3, floor = 0.2)  target = ema(0.5) }}
  improve imitation {{}}
  observe {{ normalize = data }}
  act {{ evaluate = sample from policy_target }}
  train {{ steps = 20  batch = 16  episodes = 1 }}
}}
"""
TUNED = f"""
algorithm tuned {{
  regime = on_policy
  order = [policy, value] -> targets
  rollout {{ steps = 8  epochs = 1  minibatches = 1 }}
  policy {{ {POLICY}  sampler = ddpm(3, floor = 0.2)  old = rollout  optimizer = sgd(0.1) }}
  value {{ fit = square(V(s) - returns)  network = mlp([5])  old = rollout }}
  improve surrogate {{ {DENOISED} }}
  observe {{ normalize = data }}
  act {{ explore = sample  evaluate = sample }}
  train {{ steps = 24  episodes = 1 }}
}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both specs, a data set and the run of the first."""
    folder, rng, last = tmp_path_factory.mktemp("begin"), np.random.default_rng(0), np.arange(200) % 20 == 19
    walk = 2 + 3 * rng.normal(size=(201, 4))
    moved = {"observations": walk[:-1], "next_observations": walk[1:], "terminals": last, "timeouts": np.zeros(200, bool)}
    write_hdf5(folder / "walk.hdf5", {**moved, "actions": rng.uniform(-3, 3, (200, 1)), "rewards": np.ones(200)})
    (folder / "cloned.flowrl").write_text(BC)
    (folder / "tuned.flowrl").write_text(TUNED)
    data = ["--data", str(folder / "walk.hdf5"), "--out", str(folder / "cloned")]
    assert cli.main(["train", str(folder / "cloned.flowrl"), "--task", TASK, *data]) == 0
    return folder


def train(home: Path, out: str, *words: str, begin: str = "cloned") -> int:
    given = ["--task", TASK, "--begin", begin if "=" in begin else str(home / begin), "--out", str(home / out)]
    return cli.main(["train", str(home / "tuned.flowrl"), *given, *words])


@pytest.fixture(scope="module")
def tuned(home: Path) -> Path:
    assert train(home, "tuned") == 0
    return home / "tuned"


def test_a_run_begins_with_the_policy_that_acts_in_the_earlier_one(home: Path, tuned: Path) -> None:
    """The parameters of its target copy, for all copies; the same actions from the same noise, on raw observations."""
    earlier, later = (runs.rebuild(RunFolder(path)) for path in (home / "cloned", tuned))
    _, cloned = load_state(earlier.program, RunFolder(home / "cloned"), 0)
    fresh = learner.initial(later.program, 0, None)
    state = inherited.begun(RunFolder(tuned), fresh)
    for group in ("policy", "old_policy"):
        jax.tree.map(np.testing.assert_array_equal, state[group], cloned["policy_target"])
    assert np.abs(np.asarray(state["normalizer"]["mean"]) - 2).max() < 1
    obs = (2 + 3 * np.random.default_rng(1).normal(size=(6, 4))).astype(np.float32)
    pairs = [(later.program, state), (earlier.program, cloned | {"key": state["key"]})]
    acted = [np.asarray(made.act(of, obs, 3, "evaluate", made.hyper)["action"]) for made, of in pairs]
    np.testing.assert_allclose(*acted, rtol=1e-5, atol=1e-6)
    assert np.ptp(acted[0]) > 0.01
    # each of its updates is the first one on a rollout, so that all ratios are 1
    assert all(abs(record["kl"]) < 1e-6 for record in records(tuned) if record["kind"] == "train")


def test_it_begins_again_without_the_earlier_run(home: Path, tuned: Path, tmp_path: Path) -> None:
    """The folder alone repeats the run bit for bit; with other arrays in it, it is refused."""
    again = tmp_path / "again"
    shutil.copytree(tuned, again, ignore=shutil.ignore_patterns("checkpoints"))
    moved = home / "cloned"
    moved.rename(home / "elsewhere")
    try:
        assert cli.main(["resume", str(again), "--restart"]) == 0
    finally:
        (home / "elsewhere").rename(moved)
    assert (again / "metrics.jsonl").read_text() == (tuned / "metrics.jsonl").read_text()
    shutil.rmtree(again / "checkpoints")
    (again / inherited.FILE).write_bytes((again / inherited.FILE).read_bytes()[:-1] + b"x")
    assert cli.main(["resume", str(again), "--restart"]) == 3


def test_run_json_names_what_was_taken(home: Path, tuned: Path) -> None:
    said = json.loads((tuned / "run.json").read_text())["begin"]
    assert said["run"] == str(home / "cloned") and said["step"] == 20
    assert (said["parameters"], said["section"]) == ("policy_target", "policy")


REFUSED = {
    "network": (["--set", "policy.network=mlp([9])"], "cloned", "FRL0429"),
    "activation": (["--set", "policy.network=mlp([8], activation = tanh)"], "cloned", "FRL0429"),
    "backbone": (["--set", "policy.backbone=diffusion(obs = [4], time = fourier(8))"], "cloned", "FRL0429"),
    "moments": (["--set", "observe.normalize=running"], "cloned", "FRL0429"),
    "sizes": (["--task", "Pendulum-v1"], "cloned", "FRL0429"),
    "section": ([], "critic=cloned", "FRL0429"),
    "no run": ([], "nowhere", "FRL0411"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused(home: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, begin, code = REFUSED[what]
    begin = begin.replace("=cloned", f"={home / 'cloned'}")
    assert train(home, f"refused-{what}", *words, begin=begin) in (1, 3)
    assert f"error[{code}]" in capsys.readouterr().err
    assert not (home / f"refused-{what}").exists()


def test_a_run_without_a_checkpoint_has_no_policy_to_take(home: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(home / "cloned", tmp_path / "none", ignore=shutil.ignore_patterns("checkpoints"))
    assert train(home, "refused", begin=str(tmp_path / "none")) == 3
    assert "error[FRL0412]" in capsys.readouterr().err


def test_what_a_sampler_learns_begins_fresh_where_the_run_has_none() -> None:
    """From a flow with `euler` to the same one with noise in its steps, and back."""
    small = ["policy.backbone=flow(obs = [], time = raw)", "policy.network=mlp([4])"]
    plain, noisy = (
        driver.resolve_or_raise(spec, None, [*small, f"policy.sampler={sampler}"])[0]
        for spec, sampler in (("bc", "euler(2)"), ("reinflow", "noisy_euler(2)"))
    )
    programs = {one.name: driver.build_program(one, 3, 2, capacity=8, envs=1) for one in (plain, noisy)}
    arrays = {name: learner.to_arrays({"policy": made.init(0)["policy"]}) for name, made in programs.items()}
    for new, old, groups in ((noisy, "bc", ("policy", "old_policy")), (plain, "reinflow", ("policy",))):
        prepared = runs.PreparedRun(new, programs[new.name], None, {})  # type: ignore[arg-type]
        taken = inheriting._taken("policy", "policy", prepared, arrays[old])
        assert set(taken) == {name.replace("policy", group) for name in arrays["bc"] for group in groups}
