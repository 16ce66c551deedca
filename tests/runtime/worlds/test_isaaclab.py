"""IsaacLab, by a stand-in for its interface that runs in processes of its own, as the simulator does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import flowrl_dsl
from flowrl_dsl import catalogue as lists
from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import catalogue, isaaclab
from flowrl_dsl.runtime.worlds.base import World

TASK = "isaaclab/Isaac-Slide-Direct"
STUB = Path(__file__).parent / "isaac"
LIMIT, WALL = 8, 0.6


@pytest.fixture(autouse=True, scope="module")
def installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUB))
        here = str(Path(flowrl_dsl.__file__).parent.parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(STUB), here, os.environ.get("PYTHONPATH", "")]))
        patch.delenv(isaaclab.ASSETS, raising=False)
        yield
    isaaclab._facts.cache_clear()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with closing(catalogue.make(TASK, 3, 0, entries=("critic",))) as made:
        yield made


def test_time_limits_are_cuts_walls_are_ends_and_the_last_observation_is_the_true_one(world: World) -> None:
    # the second copy is pushed into the wall; the others stand until their time is over
    push = np.float32([[0], [1], [0]])
    start = np.array(world.reset())
    x, t, total, length, ends, cuts = start[:, 3], np.zeros(3), np.zeros(3), np.zeros(3, int), 0, 0
    for _ in range(3 * LIMIT):
        before = world._obs
        stepped = world.step(push)
        x, t, length = x + 0.1 * push[:, 0], t + 1, length + 1
        total += 1 - abs(x)
        np.testing.assert_allclose(stepped.next_obs[:, 3:], np.stack([x, t], 1), atol=1e-5)
        np.testing.assert_allclose(stepped.next_obs[:, :3], np.stack([x, x**2, t / LIMIT], 1), atol=1e-5)
        ended = abs(x) > WALL
        np.testing.assert_array_equal(stepped.terminal, ended)
        np.testing.assert_array_equal(stepped.truncated, (t >= LIMIT) & ~ended)
        np.testing.assert_array_equal(stepped.obs[~stepped.done], stepped.next_obs[~stepped.done])
        assert np.all(stepped.obs[stepped.done, 4] == 0)
        np.testing.assert_allclose(
            stepped.finished, [(total[k], length[k]) for k in np.flatnonzero(stepped.done)], atol=1e-5
        )
        assert not np.shares_memory(before, stepped.obs)
        x, t = np.array(stepped.obs[:, 3]), np.where(stepped.done, 0, t)
        total[stepped.done] = length[stepped.done] = 0
        ends, cuts = ends + stepped.terminal.sum(), cuts + stepped.truncated.sum()
    assert ends >= 2 and cuts >= 6


def test_nothing_is_reported_of_copies_that_are_not_active(world: World) -> None:
    start = np.array(world.reset())
    for _ in range(LIMIT):
        stepped = world.step(np.float32([[1], [0], [0]]), np.array([False, True, True]))
    np.testing.assert_array_equal(stepped.obs[0], start[0])
    assert stepped.reward[0] == 0 and not stepped.done[0] and stepped.done[1:].all() and len(stepped.finished) == 2
    assert world.running()[1].tolist() == [0, 0, 0]


def test_the_same_seed_gives_the_same_episodes_and_a_restored_world_begins_new_ones(world: World) -> None:
    first, again = np.array(world.reset()), np.array(world.reset())
    np.testing.assert_array_equal(first, again)
    for _ in range(LIMIT):
        world.step(np.zeros((3, 1), np.float32))
    saved = plain.unpack(*plain.pack(world.snapshot()))
    one, two = (np.array(world.restore(saved)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not world.exact and not np.isin(one[:, 3], first[:, 3]).any()
    assert world.running()[1].tolist() == [0, 0, 0]


def test_what_policies_usually_observe_and_the_actions_are_those_of_the_task() -> None:
    assert catalogue.sizes(TASK) == (2, 1)
    spaces = catalogue.spaces(f"{TASK}(action_bound=2.5)")
    assert (spaces.low.tolist(), spaces.high.tolist()) == ([-2.5], [2.5])
    assert catalogue.sizes(f"{TASK}(observation='critic')") == (3, 1)


def test_with_a_finite_horizon_the_end_of_the_time_is_an_end() -> None:
    with closing(catalogue.make(f"{TASK}(is_finite_horizon=True)", 1, 0)) as world:
        world.reset()
        for _ in range(LIMIT):
            stepped = world.step(np.zeros((1, 1), np.float32))
    assert stepped.terminal.all() and not stepped.truncated.any()


@pytest.mark.parametrize(
    ("fault", "words", "note"),
    [
        ("raise", "failed at step 3 of an episode: ValueError: the solver diverged", "isaaclab_tasks"),
        ("exit", "SystemExit: no licence", "isaaclab_tasks"),
        ("die", "its process ended with exit code 7", "it printed: a fatal error"),
        ("alias", "the last observation of an episode is lost", ""),
    ],
)
def test_what_the_simulator_does_wrong_is_a_message(fault: str, words: str, note: str) -> None:
    with closing(catalogue.make(f"{TASK}(fault={fault!r})", 1, 0)) as world, pytest.raises(RunError, match=words) as caught:
        world.reset()
        for _ in range(LIMIT):
            world.step(np.zeros((1, 1), np.float32))
    assert caught.value.code == "FRL0405" and any(note in one for one in caught.value.diagnostics[0].notes)


@pytest.mark.parametrize(
    ("task", "repeat", "code", "words"),
    [
        ("isaaclab/Isaac-Slid-Direct", 1, "FRL0401", "unknown task"),
        (f"{TASK}(fault='discrete')", 1, "FRL0402", "only continuous boxes"),
        (f"{TASK}(speed=3)", 1, "FRL0408", "env.speed is no field"),
        (f"{TASK}(observation='state')", 1, "FRL0408", 'no observation "state"'),
        (TASK, 2, "FRL0408", "holds each action"),
    ],
)
def test_tasks_that_cannot_be_made(task: str, repeat: int, code: str, words: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        catalogue.make(task, 1, 0, repeat)
    assert caught.value.code == code


def test_an_interrupt_is_the_trainings_and_closing_ends_the_process(world: World) -> None:
    world.reset()
    child = world._process._child
    child.send_signal(signal.SIGINT)
    assert np.isfinite(world.step(np.zeros((3, 1), np.float32)).reward).all()
    world.close()
    assert child.returncode == 0


def test_the_list_of_tasks_names_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = lists._tasks("isaaclab")
    assert (row["name"], isaaclab.ASSETS in row["needs"]) == (TASK, True)
    monkeypatch.setattr(isaaclab.IsaacLab, "packages", ("a_simulator_that_nobody_has",))
    (row,) = lists._tasks("isaaclab")
    assert row["state"] == "not installed" and "isaaclab==3.0.0" in row["needs"]
    isaaclab._facts.cache_clear()
    with pytest.raises(RunError, match="is not installed") as caught:
        catalogue.make(TASK, 1, 0)
    assert caught.value.code == "FRL0491"


def test_a_training_whose_values_read_another_group(tmp_path: Path) -> None:
    sets = ["policy.network=mlp([4])", "value.network=mlp([4])", "value.observation=critic"]
    sets += ["rollout.steps=8", "rollout.minibatches=2", "rollout.epochs=1", "train.envs=2"]
    sets += ["train.steps=32", "train.evaluate_every=32", "train.episodes=1"]
    run = flowrl_dsl.train("ppo", TASK, sets=sets, out=tmp_path / "run", quiet=True)
    run.resume(steps=48, quiet=True)
    policy = run.policy()
    assert policy.entries == ("policy",) and np.isfinite(policy.act([0.1, 0.0])).all()
