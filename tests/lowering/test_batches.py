"""Batches drawn from the replay, against loops over the episodes that filled it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.returns import continued_return, n_step_return
from flowrl_dsl.components.samplings.lap import lap_priority, prioritized_rows, with_new_rows
from flowrl_dsl.components.sources.data_and_replay import DataAndReplay
from flowrl_dsl.components.sources.ring import Ring, following, transitions, windows
from flowrl_dsl.lowering.program import MEMORY, Data
from flowrl_dsl.record import STEP
from flowrl_dsl.runtime.replay import Replay
from tests.helpers import (
    QUICK,
    Seen,
    algorithm,
    batch,
    component,
    critic,
    every,
    graphs_of,
    kept,
    program_of,
    random_state,
    replay,
    scalar,
    seq,
)

LAP = component(
    "sampling",
    "lap",
    refresh=2,
    alpha=scalar("train.sampling.alpha", 0.5),
    floor=scalar("train.sampling.floor", 0.01),
)


def filled(capacity, envs, steps, seed):
    """A replay of ``steps`` steps of ``envs`` environments, and each environment's rows in order, with their places."""
    rng = np.random.default_rng(seed)
    replay = Replay(Data(STEP, Ring(sampling=component("sampling", "uniform")), capacity, 4), {"obs": 1, "action": 1})
    lines = [[] for _ in range(envs)]
    for step in range(steps):
        number = np.arange(envs) + step * envs
        end = rng.random(envs) < 0.3
        d = end & (rng.random(envs) < 0.5)
        r = rng.normal(size=envs)
        replay.add(s=number[:, None], a=-number[:, None], r=r, d=d, end=end, s_next=number[:, None] + 0.5)
        for e in range(envs):
            lines[e].append({"number": number[e], "r": np.float32(r[e]), "d": d[e], "end": end[e]})
    return replay, lines


_windows = jax.jit(windows, static_argnums=(2, 3), compiler_options=QUICK)


@settings(max_examples=12, deadline=None)
@given(shape=st.sampled_from([(6, 1, 3), (8, 2, 3), (12, 3, 2)]), steps=st.integers(1, 12), seed=st.integers(0, 1000))
def test_windows_are_the_steps_of_one_environment_up_to_the_end_of_the_episode(shape, steps, seed):
    capacity, envs, horizon = shape
    replay, lines = filled(capacity, envs, steps, seed)
    view, total = replay.view(), steps * envs
    kept = range(max(0, total - capacity), total)
    rows = np.array([number % capacity for number in kept])
    last, got = _windows({k: view[k] for k in view}, jnp.asarray(np.resize(rows, capacity)), horizon, envs)
    after = following(view, last, envs)
    for i, number in enumerate(kept):
        line = lines[number % envs][number // envs :]
        length = next((k + 1 for k in range(min(horizon, len(line))) if line[k]["end"]), min(horizon, len(line)))
        rewards = [line[k]["r"] for k in range(length)] + [0.0] * (horizon - length)
        np.testing.assert_allclose(got["rewards"][i], rewards, rtol=1e-6)
        assert float(got["count"][i]) == length
        assert float(got["s"][i, 0]) == number and float(got["a"][i, 0]) == -number
        assert float(got["s_next"][i, 0]) == line[length - 1]["number"] + 0.5
        assert bool(got["d"][i]) == line[length - 1]["d"]
        known = length < len(line) and not line[length - 1]["end"]
        assert bool(after["next_seen"][i]) == known
        if known:
            assert float(after["a_next_seen"][i, 0]) == -line[length]["number"]


def test_a_window_of_one_step_is_the_transition():
    replay, _ = filled(6, 1, 5, 0)
    rows, view = jnp.arange(5), replay.view()
    one, window = transitions(view, rows), windows(view, rows, 1, 1)[1]
    np.testing.assert_array_equal(window["rewards"][:, 0], one["r"])
    for name in ("s", "a", "d", "s_next"):
        np.testing.assert_array_equal(window[name], one[name])


def test_the_return_is_the_discounted_sum():
    rewards = np.random.default_rng(0).normal(size=(4, 5))
    expected = [sum(0.9**k * row[k] for k in range(5)) for row in rewards]
    np.testing.assert_allclose(n_step_return(jnp.asarray(rewards, "f"), 0.9), expected, rtol=1e-5)


@settings(max_examples=12, deadline=None)
@given(shape=st.sampled_from([(6, 1), (8, 2), (12, 3)]), steps=st.integers(1, 12), seed=st.integers(0, 1000))
def test_returns_to_go_follow_from_the_next_one_by_recursion(shape, steps, seed):
    """From the newest row of each environment backwards; a cut episode goes on with its last reward."""
    (capacity, envs), rate = shape, 0.9
    replay, lines = filled(capacity, envs, steps, seed)
    source = Ring(sampling=component("sampling", "uniform"), stride=envs, ahead=12)
    total = steps * envs
    kept = range(max(0, total - capacity), total)
    got = source.gather(replay.view(), jnp.asarray(np.resize([number % capacity for number in kept], capacity)))
    found = continued_return(got["rewards_ahead"], got["count_ahead"], got["d_ahead"], rate)
    expected = {}
    for line in lines:
        after, ended = 0.0, True
        for row in reversed(line):
            if row["end"] or row is line[-1]:
                after, ended = row["r"] / (1 - rate), row["d"]
            expected[row["number"]] = after = row["r"] + rate * after * (not ended)
            ended = False
    np.testing.assert_allclose(found[: len(kept)], [expected[number] for number in kept], rtol=1e-4, atol=1e-4)
    for name in ("r", "d", "s_next"):  # those of the transition itself
        np.testing.assert_array_equal(
            got[name], transitions(replay.view(), jnp.asarray(got["s"][:, 0] % capacity, int))[name]
        )


def test_a_cut_episode_of_failures_has_the_return_of_failing_for_ever():
    """sum_k 0.9^k (-1) = -10, wherever it was cut; an end adds nothing after it."""
    rewards = -jnp.asarray([[1.0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
    found = continued_return(rewards, jnp.asarray([4.0, 1, 2, 2]), jnp.asarray([0.0, 0, 0, 1]), 0.9)
    np.testing.assert_allclose(found, [-10, -10, -10, -1.9], rtol=1e-5)
    assert np.isfinite(continued_return(rewards, jnp.ones(4), jnp.zeros(4), 1.0)).all()


def test_the_backup_sees_the_return_and_the_discount_of_its_length():
    """y = sum_k 0.9^k r_k + 0.9^count (1 - d) min_e Q_target(s_next, a_next)"""
    alg = algorithm(critic=critic(n_step=3))
    data, rng = batch(), np.random.default_rng(2)
    count = rng.integers(1, 4, len(data["d"]))
    rewards = np.where(np.arange(3) < count[:, None], rng.normal(size=(len(count), 3)), 0.0)
    given = {k: v for k, v in data.items() if k != "r"} | {
        "rewards": jnp.asarray(rewards, "f"),
        "count": jnp.asarray(count, "f"),
    }
    graphs, hyper = graphs_of(alg)
    state = random_state(alg)
    inputs = {
        f"{group}.{k}": v
        for group, values in (("state", state), ("batch", given), ("hyper", hyper))
        for k, v in values.items()
    }
    seen = Seen(graphs["step"], inputs)
    q = np.asarray(seen[next(name for name in seen.values if name.startswith("critic.min"))], np.float64)
    returns = [sum(0.9**k * rewards[i, k] for k in range(3)) for i in range(len(count))]
    expected = np.array(returns) + 0.9**count * (1 - np.asarray(data["d"])) * q
    np.testing.assert_allclose(seen["critic.y"], expected, rtol=1e-4, atol=1e-5)


# a data set beside the replay


@pytest.mark.parametrize("horizon", [1, 3])
def test_rows_of_a_data_set_come_before_those_of_the_replay(horizon):
    """Each place is that of a ring which contains one of the two; the ring has wrapped around, two environments wide."""
    uniform = component("sampling", "uniform")
    data, _ = filled(7, 1, 7, 1)
    ring, _ = filled(6, 2, 5, 2)
    both = DataAndReplay(sampling=uniform, horizon=horizon, stride=2)
    alone = {stride: Ring(sampling=uniform, horizon=horizon, stride=stride) for stride in (1, 2)}
    got = both.gather({**ring.view(), "data": data.view()}, jnp.arange(13))
    first = alone[1].gather(data.view(), jnp.arange(7))
    rest = alone[2].gather(ring.view(), jnp.arange(6))
    for name in first:
        np.testing.assert_array_equal(got[name], np.concatenate([first[name], rest[name]]), err_msg=name)


@settings(max_examples=12, deadline=None)
@given(share=st.sampled_from([0.0, 0.25, 0.5, 1.0]), collected=st.integers(0, 6), seed=st.integers(0, 1000))
def test_a_mixed_batch_has_its_share_of_data(share, collected, seed):
    source = DataAndReplay(sampling=component("sampling", "mixed", data=share))
    storage = {"data": {"r": np.zeros(5)}, "size": collected, "total": collected}
    _, places = source.draw(None, storage, jax.random.PRNGKey(seed), 16)
    of_data = int(np.sum(np.asarray(places) < 5))
    assert of_data == (round(16 * share) if collected else 16)
    assert int(places.min()) >= 0 and int(places.max()) < 5 + collected


# priorities


class SlowPriorities:
    """A list of priorities by place, and the largest so far."""

    def __init__(self, capacity):
        self.table, self.largest, self.seen = [0.0] * capacity, 1.0, 0

    def notice(self, total):
        for number in range(max(self.seen, total - len(self.table)), total):
            self.table[number % len(self.table)] = self.largest
        self.seen = total

    def learn(self, rows, priority, refresh):
        found: dict[int, list[float]] = {}
        for row, value in zip(rows, priority, strict=True):
            found.setdefault(row, []).append(float(value))
        for row, values in found.items():
            self.table[row] = max(values)
        self.rest(rows, refresh)

    def rest(self, rows, refresh):
        self.largest = max(self.table) if refresh else max([self.largest, *(self.table[row] for row in rows)])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), min_size=1, max_size=8), st.integers(0, 99))
def test_priorities_follow_the_slow_table(events, seed):
    capacity, total, rng, sampling = 6, 0, np.random.default_rng(seed), LAP
    slow, fast = SlowPriorities(capacity), sampling.memory(capacity)
    for added, refresh, reports in events:
        total += added
        size = min(total, capacity)
        slow.notice(total)
        fast = with_new_rows(fast, {"total": np.int32(total), "size": np.int32(size)})
        if size:
            rows = rng.choice(size, 3)
            priority = rng.uniform(0.5, 3, len(rows)).astype("f")
            slow.learn(rows, priority, refresh) if reports else slow.rest(rows, refresh)
            feedback = {"priority": jnp.asarray(priority), "reported": np.float32(reports)}
            fast = sampling.learn(fast, jnp.asarray(rows), feedback, np.int32(sampling.refresh if refresh else 1))
        np.testing.assert_allclose(fast["priority"], slow.table, rtol=1e-6)
        assert float(fast["largest"]) == np.float32(slow.largest)


def test_rows_are_drawn_in_proportion_to_their_priorities():
    table, n = np.array([1.0, 0.0, 4.0, 3.0, 0.0, 0.0]), 20_000
    priorities = LAP.memory(6) | {"priority": jnp.asarray(table, "f")}
    rows = np.asarray(prioritized_rows(jax.random.PRNGKey(0), priorities, {"size": np.int32(4)}, n))
    share = np.bincount(rows, minlength=6) / n
    np.testing.assert_allclose(share, table / 8, atol=5 * np.sqrt(0.25 / n))
    assert share[1] == share[4] == share[5] == 0


def test_rows_of_low_priority_are_drawn_alike_in_a_large_replay():
    """Half a million rows of priority 1 behind as many of 100: float32 has no odd numbers where they are added up."""
    capacity, n = 2**20, 4096
    priorities = LAP.memory(capacity) | {"priority": np.where(np.arange(capacity) < capacity // 2, 100, 1).astype("f")}
    draw = jax.jit(prioritized_rows, static_argnums=3)
    keys = jax.random.split(jax.random.PRNGKey(0), 16)
    rows = np.concatenate([draw(key, priorities, {"size": np.int32(capacity)}, n) for key in keys])
    low = rows[rows >= capacity // 2]
    expected = rows.size / 101
    assert abs(len(low) - expected) < 5 * np.sqrt(expected)
    counts = np.bincount(low % 4, minlength=4)
    assert np.abs(counts - len(low) / 4).max() < 5 * np.sqrt(len(low) / 4)


def test_the_priority_is_the_largest_error_of_a_member():
    q, y = np.array([[1.0, 5.0], [0.5, -4.0]]), np.array([0.8, 1.0])
    np.testing.assert_allclose(lap_priority(jnp.asarray(q), jnp.asarray(y), 0.4, 1.0), [1.0, 5**0.4], rtol=1e-5)


def lap(order=None):
    return algorithm(order=order, sampling=LAP)


def test_updates_report_the_rows_they_drew_and_new_ones_come_first():
    p = program_of(lap(), capacity=32)
    state = p.init(0)
    seen = p.draw_batch(state, replay(size=32))
    table = np.asarray(state[MEMORY]["priority"])
    assert (table == 0).all()
    feedback = kept(p.step(jax.tree.map(jnp.array, state), seen, p.hyper)[2])
    after, _ = p.update(state, replay(size=32), 1, p.hyper)
    table = np.asarray(after[MEMORY]["priority"])
    changed = np.flatnonzero(table != 1)
    drawn = {tuple(row) for row in np.asarray(seen["s"])}
    assert changed.size and {tuple(np.asarray(replay(size=32)["s"])[row]) for row in changed} <= drawn
    places = np.argmax((np.asarray(replay(size=32)["s"]) == np.asarray(seen["s"])[:, None]).all(-1), axis=1)
    assert set(changed) == set(places) and feedback["reported"] == 1
    for place in changed:  # drawn twice: the larger one
        np.testing.assert_allclose(table[place], feedback["priority"][places == place].max(), rtol=1e-5)


def test_where_the_critic_rests_the_batch_keeps_its_priorities():
    p = program_of(lap(order=seq(every(2, "critic"), "policy", "targets")), capacity=32)
    state, feedback = p.init(0), []
    for _ in range(2):
        feedback.append(kept(p.step(jax.tree.map(jnp.array, state), p.draw_batch(state, replay(size=32)), p.hyper)[2]))
        state, _ = p.update(state, replay(size=32), 1, p.hyper)
        moved = (np.asarray(state[MEMORY]["priority"]) != 1).any()
        assert moved == bool(feedback[-1]["reported"])
    assert [int(one["reported"]) for one in feedback] == [0, 1]


def test_a_source_without_feedback_adds_nothing_to_the_state():
    p = program_of(algorithm(), capacity=32)
    assert MEMORY not in p.init(0) and p.step(p.init(0), batch(), p.hyper)[2] == {}
