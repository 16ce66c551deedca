"""What stepping promises: true last observations, time-outs apart from ends, bounds, and exact snapshots."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import base, catalogue
from tests import needs

EXACT = needs.marked(
    "InvertedPendulum-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Ant-v5",
    "Reacher-v5",
    "dm_control/cartpole-swingup",
    "dm_control/cheetah-run",
    "dm_control/walker-walk",
    "dm_control/reacher-easy",
)


def _actions(steps: int, count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, count, size)).astype(np.float32)


def _equal(one: base.Stepped, two: base.Stepped) -> bool:
    arrays = ("obs", "next_obs", "reward", "terminal", "truncated")
    return one.finished == two.finished and all(np.array_equal(getattr(one, n), getattr(two, n)) for n in arrays)


@pytest.mark.parametrize("task", EXACT)
def test_a_restored_copy_continues_bit_for_bit(task: str) -> None:
    original = catalogue.make(task, 2, seed=3)
    assert original.exact
    original.reset()
    for action in _actions(500, 2, original.action_size):
        original.step(action)
    snapshot = plain.unpack(*plain.pack(original.snapshot()))
    copy = catalogue.make(task, 2, seed=3)
    assert np.array_equal(copy.restore(snapshot), snapshot["obs"])
    # long enough to pass the end of an episode of every task
    later = _actions(520 if task.startswith("dm_control") or task == "HalfCheetah-v5" else 300, 2, original.action_size)
    assert all(_equal(original.step(action), copy.step(action)) for action in later)


@pytest.mark.parametrize("task", needs.marked("Hopper-v5", "dm_control/cartpole-swingup"))
def test_resetting_a_used_copy_gives_the_episodes_of_a_fresh_one(task: str) -> None:
    used, fresh = catalogue.make(task, 1, 0, evaluation=True), catalogue.make(task, 1, 7, evaluation=True)
    used.reset()
    for action in _actions(50, 1, used.action_size):
        used.step(action)
    assert np.array_equal(used.reset(), fresh.reset())
    assert all(_equal(used.step(a), fresh.step(a)) for a in _actions(50, 1, used.action_size))


def test_the_last_observation_of_an_episode_is_kept_apart_from_the_next_first_one() -> None:
    ours = catalogue.make("InvertedPendulum-v5", 1, seed=5)
    plainly = gymnasium.make("InvertedPendulum-v5")
    obs, _ = plainly.reset(seed=base.seed_of(5, 0))
    assert np.array_equal(ours.reset()[0], obs.astype(np.float32))
    ends = 0
    for action in _actions(60, 1, 1):
        obs, reward, terminal, truncated, _ = plainly.step(3 * action[0])
        stepped = ours.step(action)
        assert np.array_equal(stepped.next_obs[0], obs.astype(np.float32))
        assert stepped.reward[0] == np.float32(reward) and stepped.terminal[0] == terminal
        if terminal or truncated:
            ends += 1
            obs, _ = plainly.reset()
        assert np.array_equal(stepped.obs[0], obs.astype(np.float32))
    assert ends > 2


class _Line(gymnasium.Env):
    """Ends for good after ``true_end`` steps; the reward is the action."""

    def __init__(self, action_space=None, observation_space=None, true_end: int = 10**9, reward: float | None = None):
        self.action_space = action_space or spaces.Box(np.float32([-1, 2]), np.float32([3, 4]))
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (2, 2))
        self._true_end, self._reward, self._t = true_end, reward, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t = 0
        return np.zeros((2, 2)), {}

    def step(self, action):
        self._t += 1
        self.action = action
        reward = float(action[0]) if self._reward is None else self._reward
        return np.full((2, 2), float(self._t)), reward, self._t >= self._true_end, False, {}


def _register(name: str, limit: int | None = None, **options: object) -> str:
    task = f"flowrlTest/{name}-v0"
    if task not in gymnasium.registry:
        gymnasium.register(task, entry_point=lambda **kw: _Line(**kw), max_episode_steps=limit, kwargs=options)
    return task


def test_a_time_out_is_truncated_and_not_terminal_and_an_end_at_the_limit_is_terminal() -> None:
    for name, end, terminal in (("TimeOut", 10**9, False), ("EndAtLimit", 3, True)):
        copies = catalogue.make(_register(name, limit=3, true_end=end), 1, 0)
        copies.reset()
        last = [copies.step(np.zeros((1, 2), np.float32)) for _ in range(3)][-1]
        assert (bool(last.terminal[0]), bool(last.truncated[0])) == (terminal, not terminal)
        assert last.next_obs[0].tolist() == [3] * 4 and last.obs[0].tolist() == [0] * 4
        assert last.finished == [(3.0, 3)]


def test_actions_are_rescaled_to_the_bounds() -> None:
    copies = catalogue.make(_register("Bounds"), 1, 0)
    copies.reset()
    for given, expected in (([-1, -1], [-1, 2]), ([1, 1], [3, 4]), ([0, 0.5], [1, 3.5]), ([-9, 9], [-1, 4])):
        copies.step(np.float32([given]))
        assert copies._singles[0]._env.unwrapped.action.tolist() == expected


def test_an_action_is_repeated_until_the_episode_ends() -> None:
    copies = catalogue.make(_register("Repeat", limit=5), 1, 0, action_repeat=2)
    copies.reset()
    steps = [copies.step(np.zeros((1, 2), np.float32)) for _ in range(3)]
    assert [float(step.reward[0]) for step in steps] == [2.0, 2.0, 1.0]
    assert steps[-1].finished == [(5.0, 5)]


def test_copies_that_are_not_active_stand_still() -> None:
    copies = catalogue.make(_register("Active"), 2, 0)
    copies.reset()
    stepped = copies.step(np.zeros((2, 2), np.float32), np.array([False, True]))
    assert stepped.obs[:, 0].tolist() == [0, 1] and stepped.reward.tolist() == [0, 1]


def test_where_a_task_is_not_exact_a_resumed_run_begins_fresh_episodes_the_same_each_time() -> None:
    def resumed() -> np.ndarray:
        copies = catalogue.make("Pendulum-v1", 2, 1)
        assert not copies.exact
        return copies.restore(snapshot)

    original = catalogue.make("Pendulum-v1", 2, 1)
    first = original.reset()
    original.step(np.zeros((2, 1), np.float32))
    snapshot = plain.unpack(*plain.pack(original.snapshot()))
    assert np.array_equal(resumed(), resumed()) and not np.array_equal(resumed(), first)


def _flexible() -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (2,))


@pytest.mark.parametrize(
    ("code", "task"),
    [
        ("FRL0401", lambda: "HalfCheeta-v5"),
        ("FRL0401", lambda: "half cheetah"),
        ("FRL0401", lambda: ""),
        pytest.param("FRL0401", lambda: "dm_control/cartpole-swingupp", marks=needs.dm_control),
        ("FRL0402", lambda: "CartPole-v1"),
        pytest.param("FRL0403", lambda: "dm_control/lqr-lqr_2_1", marks=needs.dm_control),
        ("FRL0403", lambda: _register("Infinite", action_space=_flexible())),
        ("FRL0404", lambda: _register("Words", observation_space=spaces.Sequence(spaces.Discrete(3)))),
    ],
)
def test_a_task_that_cannot_be_used_is_a_coded_error(code: str, task) -> None:
    with pytest.raises(RunError) as caught:
        catalogue.make(task(), 1, 0)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("HalfCheeta-v5", "HalfCheetah-v5"),
        pytest.param("dm_control/cartpole-swingupp", "cartpole-swingup", marks=needs.dm_control),
    ],
)
def test_the_nearest_task_is_offered(wrong: str, right: str) -> None:
    with pytest.raises(RunError) as caught:
        catalogue.make(wrong, 1, 0)
    assert right in caught.value.diagnostics[0].notes[0]


def test_a_task_of_dm_control_without_the_package_is_an_error_with_the_cure(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dm_control", None)
    with pytest.raises(RunError, match=r"FRL0405.*needs dm-control") as caught:
        catalogue.make("dm_control/cartpole-swingup", 1, 0)
    assert "pip install dm-control" in caught.value.diagnostics[0].notes[1]


def test_what_a_task_raises_or_gives_is_reported_as_its_fault() -> None:
    broken = catalogue.make(_register("Broken"), 1, 0)
    broken.reset()
    with pytest.raises(RunError, match=r"FRL0405.*IndexError"):
        broken._singles[0]._env.unwrapped.step = lambda action: [][0]
        broken.step(np.zeros((1, 2), np.float32))
    infinite = catalogue.make(_register("InfiniteReward", reward=float("inf")), 1, 0)
    infinite.reset()
    with pytest.raises(RunError, match="FRL0406"):
        infinite.step(np.zeros((1, 2), np.float32))


def test_evaluation_seeds_are_never_training_seeds() -> None:
    training = {base.seed_of(seed, k) for seed in range(50) for k in range(50)}
    assert len(training) == 2500 and max(training) < 2**31 <= min(map(base.evaluation_seed, range(100)))
