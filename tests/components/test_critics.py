from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.ensembles import ensemble_loss, ensemble_values, init_ensemble
from flowrl_dsl.components.networks.mlp import mlp
from tests import reference
from tests.helpers import QUICK

NET = mlp((("s", 3), ("a", 2)), (8, 8), 1, "tanh", False)
EXAMPLE = {"s": jnp.zeros((1, 3)), "a": jnp.zeros((1, 2))}
PARAMS = jax.jit(lambda key: init_ensemble(NET, key, 3, EXAMPLE), compiler_options=QUICK)(jax.random.PRNGKey(0))
RNG = np.random.default_rng(0)
S, ACTIONS = RNG.normal(size=(4, 3)).astype("f"), RNG.normal(size=(4, 5, 2)).astype("f")


def test_values_equal_a_loop_over_members_states_and_actions():
    q = ensemble_values(NET, PARAMS, {"s": S[:, None], "a": ACTIONS})
    assert q.shape == (3, 4, 5)
    p = reference.f64(PARAMS)
    for i, j in np.ndindex(4, 5):
        np.testing.assert_allclose(q[:, i, j], reference.q_values(p, S[i], ACTIONS[i, j]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_members_in_turn_say_what_they_say_at_once(members):
    params = jax.tree.map(lambda leaf: leaf[:members], PARAMS)

    def total(params, actions, together):
        return jnp.sum(jnp.sin(ensemble_values(NET, params, {"s": S[:, None], "a": actions}, together=together)))

    slopes = jax.jit(jax.value_and_grad(total, (0, 1)), static_argnums=2, compiler_options=QUICK)
    found = [slopes(params, ACTIONS, together) for together in (None, 19)]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), *found)


@pytest.mark.parametrize("together, in_turn", [(None, False), (20, False), (19, True)])
def test_members_take_turns_beyond_so_many_rows(together, in_turn):
    traced = jax.make_jaxpr(lambda a: ensemble_values(NET, PARAMS, {"s": S[:, None], "a": a}, together=together))(ACTIONS)
    assert ("scan[" in str(traced)) == in_turn


def test_members_start_apart():
    for leaf in jax.tree.leaves(PARAMS):
        assert leaf.shape[0] == 3
        if np.any(leaf):
            assert all((leaf[i] != leaf[j]).any() for i, j in ((0, 1), (0, 2), (1, 2)))
    q = ensemble_values(NET, PARAMS, {"s": S, "a": ACTIONS[:, 0]})
    assert np.abs(q[0] - q[1]).max() > 1e-3


def test_each_member_is_initialised_as_it_would_be_alone():
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    alone = jax.jit(NET.init, compiler_options=QUICK)(keys[1], EXAMPLE)["params"]
    member = jax.tree.map(lambda leaf: leaf[1], PARAMS)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), alone, member)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_the_mean_over_the_batch_then_mean_or_sum_over_members(reduction):
    q, y = RNG.normal(size=(3, 4)), RNG.normal(size=4)
    total = 0.0
    for e in range(3):
        total += sum((q[e, i] - y[i]) ** 2 for i in range(4)) / 4 / (3 if reduction == "mean" else 1)
    assert float(ensemble_loss(jnp.asarray(q, "f"), jnp.asarray(y, "f"), reduction)) == pytest.approx(total, rel=1e-5)


def test_members_learn_from_their_own_error_only():
    """With the sum over members, a member's gradient is what it would be alone, whatever the size of the ensemble."""
    y = jnp.ones(4)

    def loss(params, reduction):
        return ensemble_loss(ensemble_values(NET, params, {"s": S, "a": ACTIONS[:, 0]}), y, reduction)

    slope = jax.jit(jax.grad(loss), static_argnums=1, compiler_options=QUICK)
    together, mean = slope(PARAMS, "sum"), slope(PARAMS, "mean")
    alone = slope(jax.tree.map(lambda leaf: leaf[:1], PARAMS), "sum")
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[:1], y, rtol=1e-4, atol=1e-6), together, alone)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x / 3, y, rtol=1e-4, atol=1e-6), together, mean)
