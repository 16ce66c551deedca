"""Draws become inputs: their kinds, their shapes, and the results for the numbers that the keys would have given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.export.lifting import Draw, Lifted, unrolled

KEY = jax.random.PRNGKey(3)
S = np.arange(3, dtype=np.float32)


def lifted(function: Callable[..., Any]) -> Lifted:
    return Lifted(jax.make_jaxpr(function)(S, KEY), [False, True])


def test_a_normal_draw() -> None:
    def noisy(s: Any, key: Any) -> Any:
        return s + 2 * jax.random.normal(jax.random.fold_in(key, 7), (3,))

    z = np.asarray(jax.random.normal(jax.random.fold_in(KEY, 7), (3,)))
    found = lifted(noisy)
    assert found.draws == [Draw("normal", (3,))] and found.reached == [False]
    np.testing.assert_array_equal(found([S], [z])[0], noisy(S, KEY))


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-2.0, 3.0)])
def test_a_uniform_draw_is_scaled_by_the_function(low: float, high: float) -> None:
    def noisy(s: Any, key: Any) -> Any:
        return s * jax.random.uniform(key, (3,), minval=low, maxval=high)

    found = lifted(noisy)
    assert found.draws == [Draw("uniform", (3,))]
    u = np.asarray(jax.random.uniform(KEY, (3,)))
    np.testing.assert_allclose(found([S], [u])[0], noisy(S, KEY), rtol=1e-6)


def _chain(s: Any, key: Any) -> Any:
    """A scan whose steps have keys of their own."""
    return jax.lax.scan(lambda a, k: (a + jax.random.normal(k, (3,)), a.sum()), s, jax.random.split(key, 4))


def test_draws_of_a_loop_are_one_array_with_an_axis_of_its_steps() -> None:
    found = lifted(_chain)
    assert found.draws == [Draw("normal", (4, 3))]
    z = np.stack([jax.random.normal(key, (3,)) for key in jax.random.split(KEY, 4)])
    for mine, theirs in zip(found([S], [z]), _chain(S, KEY), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_can_be_written_out(reverse: bool) -> None:
    """The same results without an operation ``scan``; here one that keeps no results of its steps, and one that does."""

    def twice(s: Any, key: Any) -> Any:
        keys = jax.random.split(key, 4)
        a, _ = jax.lax.scan(lambda a, k: (2 * a + jax.random.normal(k, (3,)), None), s, keys, reverse=reverse)
        return jax.lax.scan(lambda a, x: (a + x, (a.sum(), a * x)), a, jnp.arange(4.0), reverse=reverse)

    found, z = lifted(twice), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for mine, theirs in zip(found([S], [z], unrolled), found([S], [z]), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    traced = jax.make_jaxpr(lambda s: found([s], [z], unrolled))(S)
    assert "scan" not in {equation.primitive.name for equation in traced.eqns}


def test_a_key_carried_through_a_loop() -> None:
    def walk(s: Any, key: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            a, key = carry
            key, own = jax.random.split(key)
            return (a + jax.random.normal(own, (3,)), key), None

        return jax.lax.scan(step, (s, key), None, length=2)[0][0]

    z, key = [], KEY
    for _ in range(2):
        key, own = jax.random.split(key)
        z.append(jax.random.normal(own, (3,)))
    found = lifted(walk)
    assert found.draws == [Draw("normal", (2, 3))] and found.reached == [False]
    np.testing.assert_allclose(found([S], [np.stack(z)])[0], walk(S, KEY), rtol=1e-6)


def test_other_uses_of_keys_are_found() -> None:
    assert lifted(lambda s, key: s + jax.random.randint(key, (3,), 0, 5)).reached == [True]
    assert lifted(lambda s, key: (s, key)).reached == [False, True]


def test_constants_are_computed_by_jax() -> None:
    """Frequencies and the like, whose rounding other libraries would change."""
    found = lifted(lambda s, key: s * jnp.exp(jnp.arange(3.0)))
    traced = jax.make_jaxpr(lambda s: found([s], []))(S)
    assert [equation.primitive.name for equation in traced.eqns] == ["mul"]
