"""Recorded episodes are the steps that were taken; those of a replay are its rows, environment by environment."""

from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.datasets.writing import Episode, episodes_of
from flowrl_dsl.record import STEP
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.recording import record, replayed
from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.toy_program import ToyProgram
from tests.runtime.worlds import cart

TASK = "InvertedPendulum-v5"
SIZES = {"obs": 4, "action": 1}


@pytest.fixture(scope="module")
def program() -> ToyProgram:
    return ToyProgram(*catalogue.sizes(TASK))


def _record(program: ToyProgram, steps: int, envs: int = 1, task: str = TASK, **options: float) -> list[Episode]:
    world = catalogue.make(task, envs, 5)
    try:
        return record(program, program.init(0), program.hyper, world, steps, **options)
    finally:
        world.close()


def _same(left: list[Episode], right: list[Episode]) -> bool:
    pairs = list(zip(left, right, strict=True))
    return all(
        np.array_equal(one.observations, two.observations) and np.array_equal(one.actions, two.actions) for one, two in pairs
    )


@pytest.mark.parametrize("task", [TASK, "dm_control/cartpole-swingup", f"{cart.Carts.name}/walls"])
def test_the_world_repeats_what_was_recorded(task: str) -> None:
    episodes = _record(ToyProgram(*catalogue.sizes(task)), 60, task=task)
    assert sum(map(len, episodes)) == 60 and all(one.whole for one in episodes[:-1])
    world = catalogue.make(task, 1, 5)
    obs = world.reset()
    for episode in episodes:
        np.testing.assert_array_equal(episode.observations[0], obs[0])
        for k in range(len(episode)):
            stepped = world.step(episode.actions[k : k + 1])
            np.testing.assert_array_equal(episode.observations[k + 1], stepped.next_obs[0])
            assert episode.rewards[k] == stepped.reward[0] and stepped.done[0] == (episode.whole and k == len(episode) - 1)
        assert episode.terminated == stepped.terminal[0]
        obs = stepped.obs
    world.close()


def test_steps_are_divided_among_environments(program: ToyProgram) -> None:
    episodes = _record(program, 62, envs=3)
    assert sum(map(len, episodes)) == 62
    starts = [tuple(one.observations[0]) for one in episodes]
    assert len(set(starts)) == len(starts)
    # each environment's last episode is cut by the recording
    assert sum(not one.whole for one in episodes) == 3
    cut = np.flatnonzero([not one.whole for one in episodes])
    shares = np.split(np.array([len(one) for one in episodes]), cut[:-1] + 1)
    assert [share.sum() for share in shares] == [21, 21, 20]


def test_the_same_seed_gives_the_same_noise(program: ToyProgram) -> None:
    quiet, one, again, other = (_record(program, 40, noise=x, seed=s) for x, s in ((0.0, 1), (0.5, 1), (0.5, 1), (0.5, 2)))
    assert _same(one, again) and not _same(one[:1], quiet[:1]) and not _same(one[:1], other[:1])
    actions = np.concatenate([episode.actions for episode in _record(program, 400, noise=0.3)])
    assert np.abs(actions).max() <= 1 and actions.dtype == np.float32


def test_an_action_that_is_not_finite_is_an_error(program: ToyProgram) -> None:
    world = catalogue.make(TASK, 1, 5)
    state = program.init(0)
    state["nets"]["policy"] = state["nets"]["policy"] * np.nan
    with pytest.raises(RunError, match="FRL0421"):
        record(program, state, program.hyper, world, 3)
    world.close()


def _rows(steps: int, envs: int, length: int) -> np.ndarray:
    """Rows as a training stores them: environment k counts steps from 100 k, and episodes are cut after ``length``."""
    fields = []
    for t in range(steps):
        for k in range(envs):
            s = np.full(4, 100 * k + t, np.float32)
            fields.append(np.concatenate([s, [k, t, 0, (t + 1) % length == 0], s + 1]))
    return np.array(fields, np.float32)


def test_a_replay_is_taken_apart_by_environments() -> None:
    rows = _rows(6, 3, length=4)
    episodes = replayed(rows, len(rows), 3, STEP, SIZES)
    assert [len(one) for one in episodes] == [4, 2] * 3 and [one.whole for one in episodes] == [True, False] * 3
    assert [one.observations[0, 0] for one in episodes] == [0, 4, 100, 104, 200, 204]
    assert episodes[2].observations[:, 0].tolist() == [100, 101, 102, 103, 104] and episodes[2].rewards.tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_the_newest_rows_begin_inside_of_an_episode() -> None:
    rows = _rows(6, 2, length=3)
    # the oldest three rows have been overwritten: one environment has lost two steps, the other one
    episodes = replayed(rows[3:], len(rows), 2, STEP, SIZES)
    assert [one.observations[0, 0] for one in episodes] == [2, 3, 101, 103]
    assert [one.whole for one in episodes] == [False, True, False, True]


def test_an_interrupted_recording_is_cut_where_observations_jump() -> None:
    s = np.arange(5, dtype=np.float32)[:, None]
    s_next = s + 1
    s_next[1] = 7
    a, zeros = np.zeros((5, 1), np.float32), np.zeros(5, np.float32)
    episodes = episodes_of(s, a, zeros, zeros, zeros, s_next)
    assert [one.observations[:, 0].tolist() for one in episodes] == [[0, 1, 7], [2, 3, 4, 5]]
    assert not any(one.whole or one.terminated for one in episodes)
    assert episodes_of(s[:0], a[:0], zeros[:0], zeros[:0], zeros[:0], s_next[:0]) == []
