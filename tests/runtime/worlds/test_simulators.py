"""MuJoCo Playground and Brax themselves, where they are installed: what a world promises, a training, and its resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import catalogue as lists
from flowrl_dsl import driver
from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.pure import PureVector
from tests import needs
from tests.runtime.toy_program import toy_settings
from tests.runtime.toy_run import Quiet
from tests.whole_runs import states

LIMIT, COPIES = 3, 2
BALANCE, SPRING = f"playground/CartpoleBalance(episode_length={LIMIT})", "brax/inverted_pendulum(backend='spring')"
TASKS = [pytest.param(BALANCE, marks=needs.playground), pytest.param(SPRING, marks=needs.brax)]


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def world(task: str) -> PureVector:
    """One world of each simulator for all tests: compiling its step takes most of their time."""
    return catalogue.make(task, COPIES, 0)


def held(world: PureVector, action: float) -> list:
    """Ten steps with one action in every copy, from the reset."""
    world.reset()
    return [world.step(np.full((COPIES, world.action_size), action, np.float32)) for _ in range(10)]


def test_episodes_end_reset_and_return_what_they_should(world: PureVector) -> None:
    first = np.array(world.reset())
    steps = held(world, 1.0)
    obs = [first, *(np.asarray(step.obs) for step in steps)]
    done = np.stack([step.done for step in steps])
    assert done.any() and not np.stack([step.terminal & step.truncated for step in steps]).any()
    for before, step in zip(obs, steps, strict=False):
        # an observation that is a continuation of the one before is the true one, also where the episode is over
        assert np.abs(step.next_obs - before).max() < 2.5
        goes_on, over = ~step.done, step.done
        assert np.array_equal(np.asarray(step.obs)[goes_on], step.next_obs[goes_on])
        assert (np.abs(np.asarray(step.obs)[over] - step.next_obs[over]).max(axis=1) > 0).all()
        assert len(step.finished) == over.sum()
    assert world.copies.step._cache_size() == 1


@needs.playground
def test_a_time_limit_cuts_and_does_not_end_an_episode() -> None:
    world = catalogue.make(BALANCE, COPIES, 0)
    steps = held(world, 0.0)
    assert [bool(step.truncated.all()) for step in steps] == [k % LIMIT == LIMIT - 1 for k in range(10)]
    assert not any(step.terminal.any() for step in steps)
    assert [length for step in steps for _, length in step.finished] == [LIMIT] * 2 * (10 // LIMIT)


@needs.brax
def test_a_fallen_pendulum_truly_ends_an_episode() -> None:
    steps = held(catalogue.make(SPRING, COPIES, 0), 1.0)
    assert any(step.terminal.any() for step in steps) and not any(step.truncated.any() for step in steps)


def test_actions_are_those_within_the_bounds_and_more_force_is_more_motion(world: PureVector) -> None:
    ways = [held(world, action)[0].next_obs for action in (-1.0, 0.0, 1.0)]
    left, right = np.abs(ways[0] - ways[1]).max(), np.abs(ways[2] - ways[1]).max()
    assert left > 0.01 and right == pytest.approx(left, rel=0.5)


def test_a_restored_world_goes_on_bit_for_bit(task: str, world: PureVector) -> None:
    other = catalogue.make(task, COPIES, 0)
    assert other.copies is world.copies
    held(world, 0.5)
    other.restore(plain.unpack(*plain.pack(world.snapshot())))
    for _ in range(LIMIT + 1):
        one, two = (each.step(np.full((COPIES, world.action_size), -0.5, np.float32)) for each in (world, other))
        assert np.array_equal(one.next_obs, two.next_obs) and np.array_equal(one.obs, two.obs)
        assert np.array_equal(one.reward, two.reward) and one.finished == two.finished


@needs.playground
def test_an_iteration_of_ppo_and_its_resume(tmp_path: Path) -> None:
    sets = (
        "policy.network=mlp([8])",
        "value.network=mlp([8])",
        "rollout.steps=4",
        "rollout.epochs=1",
        "rollout.minibatches=2",
    )
    algorithm, _ = driver.resolve_or_raise("ppo", BALANCE, sets)
    program = driver.build_program(algorithm, *catalogue.sizes(BALANCE), envs=COPIES)
    counts = {"envs": COPIES, "rollout": 4, "updates": 2, "warmup": 0, "evaluate_every": 99, "episodes": COPIES}

    def train(folder: Path, steps: int) -> None:
        if not folder.exists():
            RunFolder.create(folder.parent, "ppo", BALANCE, 0, {}, out=folder)
        settings = toy_settings(BALANCE, 1, steps=steps, **counts)
        Training(program, settings, RunFolder(folder), Quiet(steps), turn="on_policy").run()

    train(tmp_path / "whole", 24)
    train(tmp_path / "half", 12)
    train(tmp_path / "half", 24)
    one, two = states(tmp_path / "whole", 24), states(tmp_path / "half", 24)
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
    record = [one for one in RunFolder(tmp_path / "whole").records() if one["kind"] == "train"][-1]
    assert record["updates"] == 6 and np.isfinite([record["policy_loss"], record["value_loss"], record["kl"]]).all()
    # the policy was moved by what it learned, and by the same in both
    assert program.jit_iterate._cache_size() == 1


@needs.playground
@needs.brax
def test_tasks_that_the_installed_packages_cannot_load_are_listed_so_and_coded() -> None:
    rows = {row["name"]: row for row in lists._chosen("tasks")["tasks"]}
    loads = rows["playground/CartpoleBalance"], rows["brax/inverted_pendulum"]
    assert all(row["state"] == "installed" and not row["needs"] for row in loads)
    for name, cause in (
        ("playground/ReacherEasy", "find_body"),
        ("playground/ReacherHard", "find_body"),
        ("brax/swimmer", "a_min"),
    ):
        if rows[name]["state"] == "installed":
            catalogue.make(name, 1, 0)
            continue
        assert cause in rows[name]["needs"]
        with pytest.raises(RunError, match=f"FRL0405.*{cause}"):
            catalogue.make(name, 1, 0)
