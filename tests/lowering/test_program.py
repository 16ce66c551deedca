"""The compiled program: one executable, no callbacks, donation, updates in one dispatch."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

from flowrl_dsl.lowering.cost import host_callbacks, matrix_product_flops
from flowrl_dsl.lowering.program import groups_read
from tests.helpers import BATCH, batch, fresh, kept, program, replay, same


def on_device(name="td3"):
    return jax.tree.map(jax.numpy.array, fresh(name))


def test_n_updates_are_n_times_one_update_bit_for_bit():
    p = program("td3")
    together, _ = p.update(on_device(), replay(), 5, p.hyper)
    one = on_device()
    for _ in range(5):
        one, _ = p.update(one, replay(), 1, p.hyper)
    assert same(kept(together), kept(one))
    assert int(together["step"]) == 5


def test_no_updates_change_nothing():
    p = program("td3")
    state, metrics = p.update(on_device(), replay(), 0, p.hyper)
    assert same(kept(state), kept(on_device()))
    assert set(metrics) == {*p.metric_names, *(f"ran.{name}" for name in p.metric_names)}
    assert not any(metrics.values())


def test_an_update_is_a_step_on_the_batch_it_draws():
    p = program("td3")
    data = p.draw_batch(on_device(), replay())
    stepped, metrics, _ = p.step(on_device(), data, p.hyper)
    updated, means = p.update(on_device(), replay(), 1, p.hyper)
    for x, y in zip(jax.tree.leaves(kept(stepped)), jax.tree.leaves(kept(updated)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert float(metrics["critic_loss"]) == pytest.approx(float(means["critic_loss"]), rel=1e-5)


def test_batches_are_rows_of_the_valid_part_of_the_replay():
    p = program("td3")
    rows = {**replay(size=32), "size": jax.numpy.int32(4)}
    state, found = on_device(), set()
    for update in range(20):
        data = p.draw_batch({**state, "step": np.int32(update)}, rows)
        assert data["s"].shape == (BATCH, 3)
        for k in range(BATCH):
            index = int(np.argmax(np.asarray(rows["r"]) == float(data["r"][k])))
            found.add(index)
            for name in ("s", "a", "s_next", "d"):
                np.testing.assert_array_equal(data[name][k], rows[name][index])
    assert found == {0, 1, 2, 3}


def test_metrics_of_several_updates_are_means_over_those_that_report():
    """td3: every(2, policy -> targets) reports a policy loss in updates 2 and 4 only."""
    p = program("td3")
    state, losses, ran = on_device(), [], []
    for _ in range(4):
        state, metrics = p.update(state, replay(), 1, p.hyper)
        losses.append(float(metrics["policy_loss"]))
        ran.append(float(metrics["ran.policy_loss"]))
        assert metrics["ran.critic_loss"] == 1
    assert ran == [0, 1, 0, 1] and losses[0] == losses[2] == 0 and losses[1] != 0 != losses[3]
    _, metrics = p.update(on_device(), replay(), 4, p.hyper)
    assert float(metrics["policy_loss"]) == pytest.approx((losses[1] + losses[3]) / 2, rel=1e-5)
    assert metrics["ran.policy_loss"] == 1


def test_the_state_is_consumed():
    p = program("td3")
    for run in (lambda s: p.step(s, batch(), p.hyper), lambda s: p.update(s, replay(), 1, p.hyper)):
        state = on_device()
        leaves = jax.tree.leaves(state)
        run(state)
        assert all(leaf.is_deleted() for leaf in leaves)


def test_changing_a_number_does_not_compile_again_but_changes_the_result():
    p = program("td3")
    first, _, _ = p.step(on_device(), batch(), p.hyper)
    compiled = p.jit_step._cache_size()
    for name in p.hyper:
        state, _, _ = p.step(on_device(), batch(), {**p.hyper, name: 0.5 * p.hyper[name] + 0.01})
        if name == "critic.optimizer.learning_rate":
            assert not same(kept(state), kept(first))
    assert p.jit_step._cache_size() == compiled
    assert p.jit_update._cache_size() <= 1


@pytest.mark.parametrize("name", ["qsm", "dpmd", "sac", "td3", "bptt"])
def test_no_callbacks_and_nothing_compiled_apart(name):
    p = program(name)
    jaxpr = jax.make_jaxpr(p._step)(*p.examples())
    assert host_callbacks(jaxpr.jaxpr) == []
    assert matrix_product_flops(p._step, *p.examples()) > 0


def test_one_step_is_one_executable_without_callbacks():
    p = program("td3")
    text = p.step_hlo()
    assert text.count("ENTRY ") == 1 and "HloModule" in text
    assert not [t for t in re.findall(r'custom_call_target="([^"]*)"', text) if "callback" in t]
    assert not re.findall(r"= \S+ (infeed|outfeed|send|recv)\(", text)


def test_the_same_seed_gives_the_same_state_and_another_seed_another():
    p = program("td3")
    a, b, c = (kept(p.init(seed)) for seed in (0, 0, 1))
    assert same(a, b)
    assert not same(a["policy"], c["policy"]) and not same(a["critic"], c["critic"])
    assert same(a["critic"], a["critic_target"]) and same(a["policy"], a["policy_target"])
    assert int(a["step"]) == 0 and int(a["bad_update"]) == -1
    state, _, _ = p.step(p.init(0), batch(), p.hyper)  # equal leaves have buffers of their own: all can be donated
    assert int(state["step"]) == 1


def test_members_joined_in_one_program_are_updated_and_act_as_each_alone():
    """With inputs of their own; to rounding, because products of many matrices are other sums."""
    p = program("td3")
    many, name = p.joined(), "critic.optimizer.learning_rate"
    hypers = [p.hyper, {**p.hyper, name: 10 * p.hyper[name]}]
    states = [on_device(), p.init(1)]
    side_by_side = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)
    rows = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), replay(), replay())
    inputs = {key: np.array([hyper[key] for hyper in hypers]) for key in p.hyper}
    together, metrics = many.update(side_by_side, rows, 2, inputs)
    obs = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    actions = many.act(together, obs, 7, "explore", inputs)["action"]
    losses = []
    for k, (state, hyper) in enumerate(zip(states, hypers, strict=True)):
        alone, means = p.update(state, replay(), 2, hyper)
        for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(x, y[k], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(actions[k], p.act(alone, obs[k], 7, "explore", hyper)["action"], rtol=1e-4, atol=1e-5)
        assert float(metrics["critic_loss"][k]) == pytest.approx(float(means["critic_loss"]), rel=1e-4)
        losses.append(float(means["critic_loss"]))
    assert losses[0] != losses[1]


def test_acting_reads_the_groups_its_graph_depends_on():
    p = program("td3")
    for mode in ("explore", "evaluate"):
        read = groups_read(p.graphs[mode])
        assert "policy" in read and "critic" not in read
        obs, state = batch()["s"], on_device()
        few = p.act({group: state[group] for group in read}, obs, 3, mode, p.hyper)
        assert same(few, p.act(state, obs, 3, mode, p.hyper))
        for group in read:
            with pytest.raises(KeyError):
                p.act({name: value for name, value in state.items() if name != group}, obs, 3, mode, p.hyper)


def test_inputs_on_the_device_are_the_inputs():
    p = program("td3")
    plain, _ = p.update(on_device(), replay(), 3, p.hyper)
    moved, _ = p.update(on_device(), replay(), 3, p.on_device(p.hyper))
    assert same(kept(plain), kept(moved))
    assert set(p.on_device(p.hyper)) == set(p.hyper)
