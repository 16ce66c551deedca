"""Embeddings of states and pairs: their values, their loss, who reads which copy, and how copies follow."""

from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lowering.program import Program
from tests import reference
from tests.helpers import BATCH, SIZES, Seen, batch, graphs_of, random_state, same, td7

SECTION = td7().sections["encoder"]
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def slow_state(p, s):
    z = reference.mlp(p["state"], [s], ["s"], "elu")
    return z / np.abs(z).mean()


def slow_pair(p, s, a):
    return reference.mlp(p["pair"], [slow_state(p, s), a], ["z", "a"], "elu")


def slow_policy(p, encoder, s):
    """tanh(f(u(s), z(s)))"""
    return np.tanh(reference.beside_embeddings(p, {"s": s}, {"s": slow_state(encoder, s)}, "mish"))


def slow_value(p, encoder, s, a):
    """Q(u(s, a), z(s), z(s, a)) of a member of the critic."""
    z = {"s": slow_state(encoder, s), "a": slow_pair(encoder, s, a)}
    return reference.beside_embeddings(p, {"s": s, "a": a}, z, "tanh")[0]


def slow_values(p, encoder, s, a):
    """The values of both members."""
    return np.array([slow_value(reference.member(p, e), encoder, s, a) for e in range(2)])


def huber(x, bound=0.5):
    return np.where(np.abs(x) < bound, x**2 / 2, bound * (np.abs(x) - bound / 2))


@pytest.fixture(scope="module")
def stepped():
    """The interpreted step of an update in which everything is due, its state and its batch."""
    alg, data = td7(), batch(3)
    state = random_state(alg, 4) | {"step": np.int32(1)}
    state["critic_bounds"] = {"low": np.float32(-0.2), "high": np.float32(0.3)}
    state["critic_seen"] = {"low": np.float32(-9.0), "high": np.float32(0.1)}
    graphs, hyper = graphs_of(alg)
    return state, data, Seen(graphs["step"], Program.step_inputs(state, data, hyper))


def test_the_encoder_learns_to_predict_the_next_embedding(stepped):
    state, data, seen = stepped
    p, rows = reference.f64(state["encoder"]), reference.f64(data)
    errors = [(slow_pair(p, rows["s"][i], rows["a"][i]) - slow_state(p, rows["s_next"][i])) ** 2 for i in range(BATCH)]
    assert float(seen["encoder.loss"]) == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_next_embedding_is_a_constant_of_the_loss(stepped):
    """The gradient is that of the prediction alone, by differences of a loss whose target does not move."""
    state, data, seen = stepped
    p, rows = reference.f64(state["encoder"]), reference.f64(data)
    fixed = [slow_state(p, s) for s in rows["s_next"]]
    kernel = p["state"]["head"]["bias"]

    def loss(bias):
        q = {**p, "state": {**p["state"], "head": {**p["state"]["head"], "bias": bias}}}
        return np.mean([(slow_pair(q, rows["s"][i], rows["a"][i]) - fixed[i]) ** 2 for i in range(BATCH)])

    np.testing.assert_allclose(
        seen["encoder.gradient"]["state"]["head"]["bias"], reference.gradient(loss, kernel), rtol=1e-2, atol=1e-4
    )


def test_policy_and_critic_read_the_copies_that_belong_to_theirs(stepped):
    state, data, seen = stepped
    fixed, old = reference.f64(state["encoder_fixed"]), reference.f64(state["encoder_target"])
    rows = reference.f64(data)
    a_next = np.asarray(seen["critic.a_next"], np.float64)
    q, y, policy = (reference.f64(state[name]) for name in ("critic", "critic_target", "policy"))
    for i in range(BATCH):
        s, a, s_next = rows["s"][i], rows["a"][i], rows["s_next"][i]
        np.testing.assert_allclose(seen["critic.q_2"][:, i], slow_values(q, fixed, s, a), **CLOSE)
        np.testing.assert_allclose(seen["critic.q"][:, i], slow_values(y, old, s_next, a_next[i]), **CLOSE)
        np.testing.assert_allclose(seen["policy.reparameterized.action"][i], slow_policy(policy, fixed, s), **CLOSE)


def test_the_losses_of_one_update_follow_from_parameters_batch_and_noise(stepped):
    """An update computed from the equations alone: targets at noisy actions of the target policy, Huber errors, and
    the new critic's mean at the policy's actions."""
    state, data, seen = stepped
    groups = ("critic", "critic_target", "policy", "policy_target", "encoder_fixed", "encoder_target")
    p, rows = reference.f64({name: state[name] for name in groups}), reference.f64(data)
    new_critic, noise = reference.f64(seen["critic.new"]), np.asarray(seen["critic.a_next_added"], np.float64)
    critic_loss = objective = 0.0
    for i in range(BATCH):
        s, a, s_next = rows["s"][i], rows["a"][i], rows["s_next"][i]
        a_next = slow_policy(p["policy_target"], p["encoder_target"], s_next) + np.clip(0.2 * noise[i], -0.5, 0.5)
        q_next = slow_values(p["critic_target"], p["encoder_target"], s_next, np.clip(a_next, -1, 1)).min()
        y = rows["r"][i] + 0.9 * (1 - rows["d"][i]) * np.clip(q_next, -0.2, 0.3)
        critic_loss += huber(slow_values(p["critic"], p["encoder_fixed"], s, a) - y).mean() / BATCH
        chosen = slow_policy(p["policy"], p["encoder_fixed"], s)
        objective += slow_values(new_critic, p["encoder_fixed"], s, chosen).mean() / BATCH
    assert float(seen["critic.loss"]) == pytest.approx(critic_loss, rel=1e-3)
    assert float(seen["policy.reparameterized.loss"]) == pytest.approx(-objective, rel=1e-3)


def test_every_member_of_the_critic_learns_a_layer_of_its_own(stepped):
    """The gradient of the layer's bias, by differences of one member's loss."""
    state, data, seen = stepped
    encoder, rows = reference.f64(state["encoder_fixed"]), reference.f64(data)
    y = np.asarray(seen["critic.y"], np.float64)
    for e, gradient in enumerate(seen["critic.gradient"]["layer"]["bias"]):
        own = reference.member(reference.f64(state["critic"]), e)

        def loss(bias, own=own):
            moved = own | {"layer": own["layer"] | {"bias": bias}}
            errors = [slow_value(moved, encoder, rows["s"][i], rows["a"][i]) - y[i] for i in range(BATCH)]
            return huber(np.array(errors)).mean() / 2

        np.testing.assert_allclose(gradient, reference.gradient(loss, own["layer"]["bias"]), rtol=1e-2, atol=1e-5)


def test_values_of_targets_stay_in_the_range_seen_before(stepped):
    _, data, seen = stepped
    kept = np.clip(np.asarray(seen["critic.q"]).min(0), -0.2, 0.3)
    expected = np.asarray(data["r"]) + 0.9 * (1 - np.asarray(data["d"])) * kept
    np.testing.assert_allclose(seen["critic.y"], expected, rtol=1e-5, atol=1e-6)
    y = np.asarray(seen["critic.y"])
    after = seen.outputs["state.critic_seen"]
    assert float(after["low"]) == -9.0 and float(after["high"]) == pytest.approx(max(0.1, y.max()))


def test_at_a_refresh_every_copy_takes_the_next_newer_one(stepped):
    state, _, seen = stepped
    assert same(seen.outputs["state.encoder_target"], state["encoder_fixed"])
    assert same(seen.outputs["state.encoder_fixed"], seen.outputs["state.encoder"])
    assert same(seen.outputs["state.critic_bounds"], seen.outputs["state.critic_seen"])
    assert not same(seen.outputs["state.encoder"], state["encoder"])


def test_between_refreshes_copies_rest():
    alg = td7()
    state = random_state(alg, 4)
    graphs, hyper = graphs_of(alg)
    seen = Seen(graphs["step"], Program.step_inputs(state, batch(3), hyper))
    for name in ("encoder_target", "encoder_fixed", "critic_bounds", "critic_target"):
        assert same(seen.outputs[f"state.{name}"], state[name])


def test_an_embedding_of_many_actions_is_that_of_each():
    b = Builder("g")
    ctx = Context(b, td7(), SIZES, {}, b.input("key", Type(dtype="u32")))
    s, a = b.input("s", Type(("batch", "obs"))), b.input("a", Type(("batch", "particle", "action")))
    b.output("z", SECTION.with_pair(ctx, b.input("params", TREE), s, a))
    rng, params = np.random.default_rng(0), random_state(td7(), 1)["encoder"]
    given = {"s": rng.normal(size=(2, 3)).astype("f"), "a": rng.uniform(-1, 1, (2, 4, 2)).astype("f"), "params": params}
    z = Seen(b.finish(), given).outputs["z"]
    assert z.shape == (2, 4, 5)
    p = reference.f64(params)
    for i, n in np.ndindex(2, 4):
        expected = np.concatenate(
            [given["a"][i, n], slow_pair(p, given["s"][i].astype(float), given["a"][i, n].astype(float))]
        )
        np.testing.assert_allclose(z[i, n], expected, rtol=1e-3, atol=1e-4)
