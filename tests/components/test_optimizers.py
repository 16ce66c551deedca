from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.optimizers.adam import adam, adam_init
from tests import reference

RNG = np.random.default_rng(0)
GRADIENTS = [RNG.normal(size=7) * scale for scale in (1.0, 3.0, 0.01, 10.0)]


def run(clip_norm=None):
    start = RNG.permutation(7).astype("f")
    tree = {"w": jnp.asarray(start[:5]), "b": {"c": jnp.asarray(start[5:])}}
    state = adam_init(tree)
    for g in GRADIENTS:
        gradient = {"w": jnp.asarray(g[:5], "f"), "b": {"c": jnp.asarray(g[5:], "f")}}
        tree, state = adam(tree, gradient, state, 0.01, 0.9, 0.999, 1e-8, clip_norm)
    return start.astype(np.float64), np.concatenate([tree["w"], tree["b"]["c"]]), state


@pytest.mark.parametrize("clip_norm", [None, 2.0, 100.0])
def test_adam_equals_the_published_recursion(clip_norm):
    """The norm that is bounded is that of all parameters together."""
    start, got, state = run(clip_norm)
    np.testing.assert_allclose(got, reference.adam(start, GRADIENTS, 0.01, clip_norm), rtol=1e-5, atol=1e-6)
    assert int(state.count) == 4


def test_the_first_step_has_the_size_of_the_learning_rate_whatever_the_gradient():
    params = jnp.zeros(3)
    new, _ = adam(params, jnp.array([1e-3, -5.0, 1e3]), adam_init(params), 0.1, 0.9, 0.999, 1e-8)
    np.testing.assert_allclose(new, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_a_zero_gradient_moves_nothing_and_clips_to_a_number():
    params = jnp.ones(3)
    new, _ = adam(params, jnp.zeros(3), adam_init(params), 0.1, 0.9, 0.999, 1e-8, 1.0)
    np.testing.assert_array_equal(new, params)
