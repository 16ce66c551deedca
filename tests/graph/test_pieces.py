"""Computing states in pieces gives what computing them at once gives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.graph.pieces import in_pieces

S = jnp.asarray(np.random.default_rng(0).normal(size=(12, 3)), "float32")
ACTIONS = jnp.asarray(np.random.default_rng(1).normal(size=(12, 5, 2)), "float32")


def by_state(s, a):
    """Two results, the states first in one and second in the other."""
    q = jnp.sum(s, -1)[:, None] * jnp.prod(a, axis=-1)
    return q, jnp.stack([jnp.cos(q), jnp.sin(q)])


def seen_sizes(limit, states=12):
    sizes = []

    def look(s, a):
        sizes.append((s.shape[0], a.shape))
        return by_state(s, a)

    jax.eval_shape(lambda s, a: in_pieces(look, (s, a), (0, 0), (0, 1), limit), S[:states], ACTIONS[:states])
    return sizes[-1]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 80))
def test_pieces_make_the_whole(limit):
    with jax.disable_jit():
        got = in_pieces(by_state, (S, ACTIONS), (0, 0), (0, 1), limit)
    for x, y in zip(got, by_state(S, ACTIONS), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize("limit, states", [(60, 12), (59, 6), (30, 6), (29, 4), (20, 4), (10, 2), (9, 1), (1, 1)])
def test_a_piece_has_as_many_states_as_fit_and_divide_their_number(limit, states):
    assert seen_sizes(limit) == (states, (states, 5, 2))


def test_a_prime_number_of_states_is_taken_one_by_one():
    assert seen_sizes(30, states=7) == (1, (1, 5, 2))


def test_states_may_stand_anywhere_and_values_may_be_trees():
    def f(tree, x):
        return (tree["s"] @ jnp.ones(3) + jnp.sum(x, axis=(0, 2)),)

    x = jnp.moveaxis(ACTIONS, 0, 1)
    (got,) = in_pieces(f, ({"s": S}, x), (0, 1), (0,), 10)
    np.testing.assert_allclose(got, f({"s": S}, x)[0], rtol=1e-5)


def test_results_without_states_are_means_over_them():
    def f(s):
        return jnp.mean(s**2), {"mean": jnp.mean(s, axis=0)}, 2 * s

    got = in_pieces(f, (S,), (0,), (None, None, 0), 4)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), got, f(S))


def test_gradients_pass_through():
    def total(s):
        return jnp.sum(in_pieces(by_state, (s, ACTIONS), (0, 0), (0, 1), 10)[1])

    np.testing.assert_allclose(jax.grad(total)(S), jax.grad(lambda s: jnp.sum(by_state(s, ACTIONS)[1]))(S), rtol=1e-5)
