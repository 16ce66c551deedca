"""Batches of chunks: loops over the episodes of a replay and of a data set, and the backup over the steps of a chunk."""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.data import chunk_of
from flowrl_dsl.components.returns import n_step_return
from flowrl_dsl.components.sources.data_and_replay import DataAndReplay
from flowrl_dsl.components.sources.ring import Ring, whole_alone
from flowrl_dsl.driver import build_program, resolve_or_raise
from tests.helpers import component
from tests.lowering.test_batches import filled

UNIFORM = component("sampling", "uniform")


def ring(horizon: int, stride: int = 1) -> Ring:
    return Ring(sampling=UNIFORM, horizon=horizon, stride=stride, chunked=True)


def length_of(line: list[dict], horizon: int) -> int:
    """The steps from the first on that are in one episode, at most so many: the slow way."""
    for k, row in enumerate(line[:horizon]):
        if row["end"]:
            return k + 1
    return min(horizon, len(line))


@settings(max_examples=12, deadline=None)
@given(shape=st.sampled_from([(6, 1, 3), (12, 3, 2)]), steps=st.integers(1, 12), seed=st.integers(0, 1000))
def test_a_chunk_has_the_actions_of_its_steps_side_by_side(shape, steps, seed):
    """Wherever the ring has wrapped around, and whichever steps it has lost; zeros stand for what is after an end."""
    capacity, envs, horizon = shape
    replay, lines = filled(capacity, envs, steps, seed)
    total, source, view = steps * envs, ring(horizon, envs), replay.view()
    kept = range(max(0, total - capacity), total)
    got = source.gather(view, jnp.asarray(np.resize([number % capacity for number in kept], capacity)))
    whole = []
    for i, number in enumerate(kept):
        line = lines[number % envs][number // envs :]
        length = length_of(line, horizon)
        actions = [-line[k]["number"] for k in range(length)] + [0] * (horizon - length)
        np.testing.assert_array_equal(got["a"][i], actions)
        assert int(got["count"][i]) == length and bool(got["d"][i]) == line[length - 1]["d"]
        assert float(got["s"][i, 0]) == number and float(got["s_next"][i, 0]) == line[length - 1]["number"] + 0.5
        whole += [number % capacity] * (length == horizon)
    drawn = np.asarray(source.draw(None, view, jax.random.PRNGKey(seed), 64)[1])
    if set(drawn) & set(whole):
        assert set(drawn) <= set(whole)
    else:
        np.testing.assert_array_equal(drawn, UNIFORM.draw(None, view, jax.random.PRNGKey(seed), 64)[1])


def test_whole_windows_are_drawn_as_if_there_were_no_others():
    """All 4^3 batches of three of four places, two of which begin whole windows: each place of a batch has either equally
    often, wherever it is, unless no window of the batch is whole."""
    places = np.array(list(product(range(4), repeat=3)))
    found = np.asarray(jax.vmap(whole_alone)(places, (places == 1) | (places == 2)))
    some = np.isin(places, (1, 2)).any(axis=1)
    np.testing.assert_array_equal(found[~some], places[~some])
    assert np.isin(found[some], (1, 2)).all()
    np.testing.assert_array_equal((found[some] == 1).sum(axis=0), [some.sum() / 2] * 3)


def test_chunks_of_a_data_set_and_of_the_replay_beside_it_end_with_their_own_episodes():
    data, old = filled(9, 1, 9, 3)
    replay, new = filled(8, 2, 6, 4)
    source, horizon = DataAndReplay(sampling=UNIFORM, horizon=2, stride=2, chunked=True), 2
    view = {**replay.view(), "data": data.view()}
    whole = {i for i in range(9) if length_of(old[0][i:], horizon) == horizon}
    numbers = {number % 8: number for number in range(4, 12)}
    whole |= {9 + place for place, k in numbers.items() if length_of(new[k % 2][k // 2 :], horizon) == horizon}
    assert {0, *range(9)} - whole and set(range(9, 17)) - whole  # both have windows that are cut
    drawn = np.asarray(source.draw(None, view, jax.random.PRNGKey(0), 200)[1])
    assert set(drawn.tolist()) == whole
    got = source.gather(view, jnp.asarray(sorted(whole)))
    first = [place if place < 9 else numbers[place - 9] for place in sorted(whole)]
    later = [1 if place < 9 else 2 for place in sorted(whole)]
    np.testing.assert_array_equal(got["a"], [[-k, -k - more] for k, more in zip(first, later, strict=True)])


@pytest.mark.parametrize("end", [None, "time limit", "true end"])
@pytest.mark.parametrize("horizon", [2, 3])
def test_the_backup_over_chunks_has_the_returns_of_the_chain_as_its_fixed_point(horizon, end):
    """Two states in turn with rewards 1 and 3: V(0) = (1 + 3 g) / (1 - g^2) and V(1) = (3 + g) / (1 - g^2) where nothing but
    time ends it.  With a true end after the 13th step the sum of the rewards up to there; chunks that it cuts do not count.
    """
    g, steps = 0.9, 13
    state, last = np.arange(steps) % 2, np.arange(steps) == 12
    replay, _ = filled(steps, 1, 0, 0)
    rewards, ends = np.where(state == 0, 1.0, 3.0), last * (end is not None)
    # states are numbered by time: with an end, the value of a state depends on it
    at = np.arange(steps, dtype=float)[:, None]
    replay.add(s=at, a=at, r=rewards, d=last * (end == "true end"), end=ends, s_next=at + 1)
    view, source = replay.view(), ring(horizon)
    whole = np.arange(steps - horizon + 1)
    places = np.asarray(source.draw(None, view, jax.random.PRNGKey(0), 200)[1])
    assert set(places.tolist()) == set(whole.tolist())
    batch = {name: np.asarray(value, np.float64) for name, value in source.gather(view, jnp.asarray(whole)).items()}
    returns, keep = np.asarray(n_step_return(batch["rewards"], g), np.float64), g ** batch["count"] * (1 - batch["d"])
    values = np.zeros(steps + 1)
    goes_on = [(1 + 3 * g) / (1 - g**2), (3 + g) / (1 - g**2)]
    for _ in range(400):
        after = values[batch["s_next"][:, 0].astype(int)]
        values[whole] = returns + keep * after
        # what begins no whole chunk is bootstrapped from the state of its kind, which the policy goes on from
        values[len(whole) :] = 0 if end == "true end" else [values[k % 2] for k in range(len(whole), steps + 1)]
    if end != "true end":
        np.testing.assert_allclose(values, [goes_on[k % 2] for k in range(steps + 1)], rtol=1e-5)
        return
    reached = [k for k in whole if (steps - k) % horizon == 0]  # chunks of which the last ends the episode
    expected = [sum(g**j * rewards[k + j] for j in range(steps - k)) for k in reached]
    np.testing.assert_allclose(values[reached], expected, rtol=1e-5)


def test_actions_of_graphs_have_the_components_of_a_chunk():
    """A of formulas, networks and batches counts all three actions; a stored step has one of them."""
    sets = ("act.chunk=3", "policy.network=mlp([4])", "critic.network=mlp([4])", "train.batch=4")
    algorithm, _ = resolve_or_raise("sac", None, sets)
    program = build_program(algorithm, 3, 2)
    assert chunk_of(algorithm) == program.chunk == 3 and program.action_size == 2
    shapes = {name: value.shape for name, value in program.batch_shapes().items()}
    assert shapes["a"] == (4, 6) and shapes["rewards"] == (4, 3) and shapes["s"] == shapes["s_next"] == (4, 3)
    assert program.data.stored["a"].shape(program.axis_sizes) == (2,)
    acted = program.act(program.init(0), np.zeros((5, 3), np.float32), 0, "explore", program.hyper)
    assert acted["action"].shape == (5, 6)
    (size,) = (node for node in program.graphs["step"].nodes.values() if node.name.split(".")[-1].startswith("A"))
    assert "6.0" in str(size.expr)
