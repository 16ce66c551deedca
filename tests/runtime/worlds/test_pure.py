"""Worlds of pure functions: the semantics of every world, exact snapshots, and training on one that a plugin adds."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import Stepped
from flowrl_dsl.runtime.worlds.pure import Episodes, PureVector
from tests.runtime.worlds.cart import LIMIT, WALL, Cart


def _world(seeds: Sequence[int] = (3, 4, 5), action_repeat: int = 1) -> PureVector:
    return PureVector("test/cart", Cart(), seeds, action_repeat)


def _actions(steps: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, count, 1)).astype(np.float32)


def _equal(one: Stepped, two: Stepped) -> bool:
    names = ("obs", "next_obs", "reward", "terminal", "truncated")
    return one.finished == two.finished and all(np.array_equal(getattr(one, n), getattr(two, n)) for n in names)


def test_a_time_out_is_truncated_an_end_at_the_limit_is_terminal_and_the_next_episode_begins_at_once() -> None:
    world = _world()
    world.reset()
    total, time_outs, ends = np.zeros(3), 0, 0
    for t in range(60):
        # the second copy is driven into the wall
        stepped = world.step(np.float32([[0], [1], [0]]))
        total += stepped.reward
        assert not (stepped.terminal & stepped.truncated).any()
        assert np.array_equal(stepped.terminal, abs(stepped.next_obs[:, 0]) > WALL)
        assert stepped.truncated[0] == ((t + 1) % LIMIT == 0)
        ended = np.flatnonzero(stepped.done)
        assert np.allclose([episode[0] for episode in stepped.finished], total[ended], atol=1e-5)
        assert np.all(stepped.obs[ended, 2] == 0) and np.all(abs(stepped.obs[ended, :2]) <= 0.1)
        assert np.all(stepped.next_obs[ended, 2] > 0)
        still = np.flatnonzero(~stepped.done)
        assert np.array_equal(np.asarray(stepped.obs)[still], stepped.next_obs[still])
        total[ended], time_outs, ends = 0, time_outs + stepped.truncated.sum(), ends + stepped.terminal.sum()
    assert time_outs >= 10 and ends >= 3
    assert np.allclose(world.running()[0], total, atol=1e-5)


def test_a_restored_world_continues_bit_for_bit() -> None:
    original = _world()
    original.reset()
    for action in _actions(20):
        original.step(action)
    snapshot = plain.unpack(*plain.pack(original.snapshot()))
    copy = _world()
    assert copy.exact and np.array_equal(copy.restore(snapshot), original.episodes.obs)
    assert all(_equal(original.step(action), copy.step(action)) for action in _actions(40))


def test_a_snapshot_of_other_dynamics_is_refused() -> None:
    with pytest.raises(RunError, match="FRL0413"):
        _world((1, 2)).restore(_world().snapshot())


def test_a_reset_gives_the_same_episodes_and_other_seeds_others() -> None:
    used, fresh = _world(), _world()
    first = np.array(used.reset())
    steps = [used.step(action) for action in _actions(30)]
    assert np.array_equal(used.reset(), first) and np.array_equal(fresh.reset(), first)
    assert all(_equal(one, fresh.step(action)) for one, action in zip(steps, _actions(30), strict=True))
    # seeds of evaluations lie above all of training, and are seeds of their own up to the last
    starts = np.array(_world((3, 2**31 + 3, 2**32 - 1)).reset())
    assert len({tuple(start) for start in starts}) == 3 and np.array_equal(starts[0], first[0])


def test_equal_dynamics_share_their_executables_and_those_without_a_hash_have_their_own() -> None:
    class Alone(Cart):
        __hash__ = None  # type: ignore[assignment]

    shared, alone = Cart(), Alone()
    one, two = (PureVector("test/cart", shared, seeds, 1) for seeds in ((1,), (2,)))
    own = PureVector("test/cart", alone, (1,), 1)
    assert one.copies is two.copies and own.copies is not one.copies
    assert np.array_equal(own.reset(), one.reset())


def test_copies_that_are_not_active_stand_still() -> None:
    world = _world()
    before = np.array(world.reset())
    stepped = world.step(np.ones((3, 1), np.float32), np.array([True, False, True]))
    assert np.array_equal(stepped.obs[1], before[1]) and stepped.reward[1] == 0 and world.running()[1].tolist() == [1, 0, 1]


def test_an_action_is_repeated_until_the_episode_ends() -> None:
    world = _world(action_repeat=5)
    world.reset()
    steps = [world.step(np.zeros((3, 1), np.float32)) for _ in range(3)]
    assert [step.truncated[0] for step in steps] == [False, False, True]
    assert [episode[1] for episode in steps[-1].finished] == [LIMIT] * 3


def test_what_is_not_finite_is_the_worlds_fault() -> None:
    world = _world()
    world.reset()
    with pytest.raises(RunError, match=r"FRL0406.*test/cart"):
        world.step(np.full((3, 1), np.inf, np.float32))


def test_episodes_can_be_scanned_in_one_executable_and_are_those_of_the_host() -> None:
    """What collecting on the device needs: act and step in one scan, resets inside."""
    episodes = Episodes(Cart(), 1)

    @jax.jit
    def collect(key: jax.Array, actions: jax.Array):
        def one(episode, inputs):
            number, action = inputs
            episode, *seen = episodes.step(episode, action, jax.random.fold_in(key, number))
            return episode, (episode.obs, *seen)

        return jax.lax.scan(one, episodes.init(key), (jnp.arange(1, len(actions) + 1), actions))[1]

    actions = _actions(40, 1)
    obs, next_obs, _, terminal, truncated = collect(jax.random.PRNGKey(7), actions[:, 0])
    world = _world((7,))
    world.reset()
    steps = [world.step(action) for action in actions]
    assert np.allclose(obs, [step.obs[0] for step in steps], atol=1e-5)
    assert np.allclose(next_obs, [step.next_obs[0] for step in steps], atol=1e-5)
    assert np.array_equal(truncated | terminal, [step.done[0] for step in steps])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, jnp.zeros(1), r"an observation of shape \(1,\) when it was traced, but its shape must be \(3,\)"),
        (2, jnp.zeros(1), r"a reward of shape \(1,\)"),
        (3, jnp.zeros((2, 1), bool), r"terminal of shape \(2, 1\)"),
        (0, {"x": jnp.zeros(2)}, "a state of structure"),
        (0, {"x": jnp.zeros(3), "t": jnp.int32(0)}, r"a state whose \['x'\] has shape \(3,\)"),
    ],
)
def test_a_world_whose_results_have_other_shapes_is_an_error(place: int, value: object, message: str) -> None:
    class Other(Cart):
        def step(self, state, action, key):
            result = list(super().step(state, action, key))
            result[place] = value
            return tuple(result)

    with pytest.raises(RunError, match=f"FRL0409: test/cart returned {message}"):
        PureVector("test/cart", Other(), (0,), 1)
