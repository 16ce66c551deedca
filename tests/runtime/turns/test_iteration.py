"""A rollout and its updates in one executable, in a pure world: the same run however its iterations are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl import driver
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.pure import PureVector
from tests.runtime.toy_program import toy_settings
from tests.runtime.toy_run import Quiet
from tests.runtime.worlds.cart import LIMIT, Cart, Carts
from tests.whole_runs import states

TASK = "cart/walls"
SETS = (
    *("policy.network=mlp([8])", "value.network=mlp([8])", "rate=3e-4"),
    *("rollout.steps=8", "rollout.epochs=2", "rollout.minibatches=2"),
)
COUNTS = {"envs": 2, "rollout": 8, "updates": 4, "warmup": 0, "evaluate_every": 80, "episodes": 2}
STEPS = 80
"""Five rollouts of 16 transitions, each with four updates."""


@pytest.fixture(scope="module", autouse=True)
def one_cart() -> Iterator[Cart]:
    """The dynamics of all worlds here, so that they share their executables."""
    dynamics = Cart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Carts, "make", lambda self, task, seeds, repeat: PureVector(task, dynamics, seeds, repeat))
        yield dynamics


@pytest.fixture(scope="module")
def program() -> Program:
    algorithm, _ = driver.resolve_or_raise("ppo", TASK, SETS)
    return driver.build_program(algorithm, *catalogue.sizes(TASK), envs=COUNTS["envs"])


def train(program: Program, folder: Path, steps: int = STEPS, **changed: float) -> Training:
    if not folder.exists():
        RunFolder.create(folder.parent, "ppo", TASK, 0, {}, out=folder)
    settings = toy_settings(TASK, 1, steps=steps, **COUNTS)
    hyper = program.hyper | changed
    training = Training(program, settings, RunFolder(folder), Quiet(steps), hyper=hyper, turn="on_policy")
    training.run()
    return training


@pytest.fixture(scope="module")
def whole(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pure") / "whole"
    train(program, folder)
    return folder


def train_records(run: Path) -> list[dict]:
    return [record for record in RunFolder(run).records() if record["kind"] == "train"]


def episodes(run: Path) -> tuple[int, float]:
    """The number of episodes that ended, and the sum of their returns."""
    found = [one for one in train_records(run) if one["episodes"]]
    return sum(one["episodes"] for one in found), sum(one["episodes"] * one["return"] for one in found)


def test_rollouts_are_followed_by_their_updates_and_episodes_are_counted(program: Program, whole: Path) -> None:
    # one executable, whatever the numbers of steps and updates
    assert program.jit_iterate._cache_size() == 1
    last = train_records(whole)[-1]
    assert (last["step"], last["updates"]) == (STEPS, 5 * 4)
    assert np.isfinite([last[name] for name in ("kl", "policy_loss", "value_loss")]).all()
    assert episodes(whole)[0] >= 2 * (STEPS // 2 // LIMIT)
    manifest = json.loads((whole / f"checkpoints/step-{STEPS:09d}/manifest.json").read_text())
    assert (manifest["total"], manifest["kept"]) == (STEPS, 16)


@pytest.mark.parametrize("at", [32, 38])
def test_a_run_cut_between_rollouts_or_inside_one_goes_on_bit_for_bit(
    program: Program, whole: Path, tmp_path: Path, at: int
) -> None:
    train(program, tmp_path / "half", at)
    train(program, tmp_path / "half")
    one, other = states(whole, STEPS), states(tmp_path / "half", STEPS)
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    assert program.jit_iterate._cache_size() == 1


def test_a_turn_step_by_step_gives_the_same_run(
    program: Program, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order, the keys and the episodes are those of the host's loop; the compiler may round differently."""
    monkeypatch.setattr(Training, "iterate", lambda self, steps, **updates: False)
    train(program, tmp_path / "host")
    one, other = states(whole, STEPS), states(tmp_path / "host", STEPS)
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=2e-3, atol=2e-4, err_msg=name)
    ours, theirs = episodes(whole), episodes(tmp_path / "host")
    assert ours[0] == theirs[0] and ours[1] == pytest.approx(theirs[1], rel=1e-3)


def test_an_update_that_is_not_finite_is_found(program: Program, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="FRL0420"):
        train(program, tmp_path / "boom", rate=1e30)


def test_a_world_that_is_not_finite_is_named_with_copy_and_step(
    program: Program, tmp_path: Path, one_cart: Cart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(self, task, seeds, repeat):
        return PureVector(task, Odd(), seeds, repeat)

    monkeypatch.setattr(Carts, "make", make)
    with pytest.raises(RunError, match=r"FRL0406.*in copy \d at step 11: entry 0 is nan"):
        train(program, tmp_path / "odd")
    assert RunFolder(tmp_path / "odd").records() == []


class Odd(Cart):
    """Its observations are NaN from the eleventh frame of an episode on."""

    def step(self, state, action, key):
        after, obs, *rest = super().step(state, action, key)
        return after, jnp.where(after["t"] >= 11, jnp.nan, obs), *rest
