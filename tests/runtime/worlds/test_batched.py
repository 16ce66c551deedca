"""Copies whose physics are stepped together give the bits of Gymnasium's own, one by one."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import batched, catalogue
from flowrl_dsl.runtime.worlds.base import seed_of
from flowrl_dsl.runtime.worlds.batched import BatchedVector
from flowrl_dsl.runtime.worlds.gymnasium import GymnasiumEnv
from flowrl_dsl.runtime.worlds.mujoco_formulas import FORMULAS
from flowrl_dsl.runtime.worlds.simulations import Simulations
from flowrl_dsl.runtime.worlds.vector import SyncVector
from tests import needs

_LIMIT = 60
"""Frames of an episode, so that a short test passes several ends; the tasks' own limit is at most a thousand."""


def _actions(steps: int, copies: SyncVector) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, copies.count, copies.action_size)).astype(np.float32)


def _two(kind: type[SyncVector], task: str, action_repeat: int = 1) -> SyncVector:
    return kind(task, [GymnasiumEnv(task) for _ in range(2)], (5, 6), action_repeat)


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        # what a solver says of itself is left from an earlier step where there was nothing to solve
        names = [name for name in one if not name.startswith("solver_")]
        return one.keys() == two.keys() and all(_same(one[name], two[name]) for name in names)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    return np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind == "f")


def _same_steps(one: SyncVector, two: SyncVector, actions: np.ndarray) -> bool:
    names = ("obs", "next_obs", "reward", "terminal", "truncated", "finished")
    steps = ((one.step(action), two.step(action)) for action in actions)
    return all(_same(getattr(a, name), getattr(b, name)) for a, b in steps for name in names)


@pytest.mark.parametrize("task", FORMULAS)
def test_every_step_is_gymnasiums_own(task: str) -> None:
    singles = [GymnasiumEnv(task) for _ in range(2)]
    for single in singles:
        single.time_limit._max_episode_steps = _LIMIT
    seeds = [seed_of(3, k) for k in (0, 1)]
    ours = BatchedVector(task, singles, seeds, 1)
    theirs = [gymnasium.make(task, disable_env_checker=True, max_episode_steps=_LIMIT) for _ in range(2)]
    first = [env.reset(seed=seeds[k])[0] for k, env in enumerate(theirs)]
    assert np.array_equal(ours.reset(), np.float32(first))
    returns, lengths, ends = [0.0, 0.0], [0, 0], 0
    rescale = ours._singles[0].rescale
    for actions in _actions(200, ours):
        stepped, finished = ours.step(actions), []
        for k, env in enumerate(theirs):
            obs, reward, terminal, truncated, _ = env.step(rescale(actions[k]))
            returns[k] += float(reward)
            lengths[k] += 1
            assert np.array_equal(stepped.next_obs[k], obs.astype(np.float32))
            assert stepped.reward[k] == np.float32(reward)
            assert (stepped.terminal[k], stepped.truncated[k]) == (terminal, truncated and not terminal)
            if terminal or truncated:
                finished.append((returns[k], lengths[k]))
                returns[k], lengths[k], ends = 0.0, 0, ends + 1
                obs, _ = env.reset()
            assert np.array_equal(stepped.obs[k], obs.astype(np.float32))
        assert stepped.finished == finished
    assert ends >= 200 // _LIMIT


@pytest.mark.parametrize("task", FORMULAS)
def test_a_snapshot_is_the_same_whichever_way_it_was_reached_and_each_way_goes_on_from_it(task: str) -> None:
    one_by_one, together = _two(SyncVector, task), _two(BatchedVector, task)
    assert np.array_equal(one_by_one.reset(), together.reset())
    assert _same_steps(one_by_one, together, _actions(70, together))
    snapshot = plain.unpack(*plain.pack(together.snapshot()))
    assert _same(snapshot, one_by_one.snapshot())
    for restored in (_two(SyncVector, task), _two(BatchedVector, task)):
        assert np.array_equal(restored.restore(snapshot), snapshot["obs"])
        assert _same_steps(restored, one_by_one, _actions(60, together))
        one_by_one.restore(snapshot)


def test_which_batch_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one, together = _two(SyncVector, "Hopper-v5"), _two(BatchedVector, "Hopper-v5")
    one_by_one.reset(), together.reset()
    simulations = together._simulations
    simulations._batches = [Batch(together._tasks[0].model, 2, threads, persistent=True) for threads in (1, 2)]
    simulations._bound, simulations._seconds = [{}, {}], [0.0, 0.0]
    together.reset(), one_by_one.reset()
    steppers = iter(np.random.default_rng(1).integers(0, 2, 200))
    monkeypatch.setattr(simulations, "_choose", lambda: simulations._go_on_with(next(steppers)))
    for action, active in zip(_actions(150, together), np.random.default_rng(2).random((150, 2)) > 0.3, strict=True):
        a, b = one_by_one.step(action, active), together.step(action, active)
        assert _same([a.obs, a.next_obs, a.reward, a.finished], [b.obs, b.next_obs, b.reward, b.finished])
    assert _same(one_by_one.snapshot(), together.snapshot())


def test_the_batch_that_was_faster_steps_until_the_next_review() -> None:
    simulations = Simulations(mujoco.MjModel.from_xml_string("<mujoco/>"), 2)
    simulations._batches, simulations._seconds = ["one thread", "two threads"], [0.0, 0.0]
    simulations._go_on_with = lambda batch: setattr(simulations, "_now", batch)
    used = []
    for slow in (1, 0):
        for _ in range(1024):
            simulations._choose()
            used.append(simulations._now)
            simulations._seconds[simulations._now] += 5.0 if simulations._now == slow else 1.0
    assert used[:4] == [0] * 4 and used[4:8] == [1] * 4 and set(used[8:1024]) == {0}
    assert used[1024:1028] == [0] * 4 and used[1028:1032] == [1] * 4 and set(used[1032:]) == {1}


def test_repeated_actions_and_copies_that_stand_still() -> None:
    one_by_one, together = (_two(kind, "InvertedPendulum-v5", 3) for kind in (SyncVector, BatchedVector))
    one_by_one.reset(), together.reset()
    ends = 0
    for t, action in enumerate(_actions(60, together)):
        active = np.array([t % 3 > 0, t % 4 > 0])
        a, b = one_by_one.step(action, active), together.step(action, active)
        ends += len(a.finished)
        assert _same([a.obs, a.next_obs, a.reward, a.finished], [b.obs, b.next_obs, b.reward, b.finished])
        assert _same(one_by_one.running(), together.running())
    assert ends > 3 and _same(one_by_one.snapshot(), together.snapshot())


def test_the_time_limit_is_that_of_the_task() -> None:
    limits = {task: catalogue.make(task, 2, 0)._limit for task in ("HalfCheetah-v5", "Reacher-v5")}
    assert limits == {"HalfCheetah-v5": 1000, "Reacher-v5": 50}


@pytest.mark.parametrize("task", needs.marked("Ant-v5", "Pendulum-v1", "dm_control/cartpole-swingup"))
def test_tasks_that_are_not_known_to_agree_are_stepped_one_by_one(task: str) -> None:
    assert type(catalogue.make(task, 2, 0)) is SyncVector


def test_a_single_copy_is_stepped_by_itself() -> None:
    assert type(catalogue.make("HalfCheetah-v5", 1, 0)) is SyncVector


def test_a_formula_that_differs_from_the_gymnasium_installed_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = FORMULAS["Swimmer-v5"]

    def other_reward(*arguments: Any) -> Any:
        obs, reward, terminal = right(*arguments)
        return obs, reward + 1e-6, terminal

    def other_attributes(task: Any, *arguments: Any) -> Any:
        return right(object(), *arguments)

    for formula in (other_reward, other_attributes):
        monkeypatch.setitem(FORMULAS, "Swimmer-v5", formula)
        batched.agrees.cache_clear()
        assert type(catalogue.make("Swimmer-v5", 2, 0)) is SyncVector
    batched.agrees.cache_clear()


def test_what_the_simulations_raise_is_reported_as_the_tasks_fault() -> None:
    copies = catalogue.make("Hopper-v5", 2, 0)
    copies.reset()
    copies._simulations.field = lambda name: np.zeros((2, 1))
    with pytest.raises(RunError, match="FRL0405"):
        copies.step(np.zeros((2, 3), np.float32))
