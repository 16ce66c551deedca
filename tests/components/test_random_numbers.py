"""Quick random numbers against jax's own, against NumPy, and against the function they are defined by."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfinv

from flowrl_dsl.components import random_numbers
from flowrl_dsl.components.random_numbers import (
    normal_numbers,
    quick_bits,
    quick_integers,
    quick_normal,
    quick_uniform,
    uniform_numbers,
)
from flowrl_dsl.testing.primitives.random_numbers import threefry

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 3), (100, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [False, True])
def test_bits_are_those_of_jax(shape, rows):
    key = jax.random.PRNGKey(7)
    np.testing.assert_array_equal(quick_bits(key, shape, rows and len(shape) > 0), jax.random.bits(key, shape))


@given(words=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), count=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_bits_are_the_words_of_each_place_joined(words, count):
    key = np.array(words, np.uint32)
    places = np.arange(count, dtype=np.uint32)
    high, low = threefry(*key, np.zeros_like(places), places)
    assert quick_bits(jnp.asarray(key), (count,)).tolist() == (high ^ low).tolist()


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-1.0, 1.0), (1e-7, 1.0), (0.001, 0.9946), (-3.0, 5.0)])
def test_uniform_numbers_are_those_of_jax_and_stay_between_their_ends(low, high):
    """But for whether a product and a sum are rounded apart, which compilers decide."""
    key, shape = jax.random.PRNGKey(3), (1000, 5)
    drawn = np.asarray(quick_uniform(key, shape, low, high))
    np.testing.assert_allclose(drawn, jax.random.uniform(key, shape, minval=low, maxval=high), rtol=2e-7, atol=2e-7 * high)
    assert drawn.min() >= np.float32(low) and drawn.max() <= np.float32(high)


def test_normal_numbers_are_the_quantiles_of_their_uniform_ones(monkeypatch):
    """Of every eighth number that a draw can be, and all near either end and the middle."""
    ends = [np.arange(0, 2**23, 8), np.arange(1000), 2**22 + np.arange(-1000, 1000), 2**23 - 1 - np.arange(1000)]
    bits = np.concatenate(ends).astype(np.uint32) << 9
    monkeypatch.setattr(random_numbers, "quick_bits", lambda key, shape, rows: jnp.asarray(bits))
    x = np.asarray(quick_uniform(None, bits.shape, -1.0 + 2.0**-24, 1.0), np.float64)
    np.testing.assert_allclose(quick_normal(None, bits.shape), np.sqrt(2) * erfinv(x), rtol=4e-7, atol=0)


def test_normal_numbers_are_those_of_jax_but_for_its_rounding():
    key, shape = jax.random.PRNGKey(5), (200_000,)
    np.testing.assert_allclose(quick_normal(key, shape), jax.random.normal(key, shape), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [False, True])
def test_quick_numbers_of_many_keys_are_those_of_each(rows):
    keys = jax.random.split(jax.random.PRNGKey(1), 4)
    drawn = jax.vmap(lambda key: quick_uniform(key, (3, 2), -1.0, 1.0, rows))(keys)
    np.testing.assert_array_equal(drawn, [quick_uniform(key, (3, 2), -1.0, 1.0) for key in keys])


@pytest.mark.parametrize("quick", [False, True])
def test_both_ways_draw_the_same_numbers(quick):
    key, shape = jax.random.PRNGKey(2), (64, 3)
    normal, uniform = normal_numbers(key, shape, quick), uniform_numbers(key, shape, -1.0, 1.0, quick, rows=True)
    np.testing.assert_allclose(normal, jax.random.normal(key, shape), rtol=1e-5, atol=0)
    np.testing.assert_array_equal(uniform, jax.random.uniform(key, shape, minval=-1.0, maxval=1.0))


@pytest.mark.parametrize("bound", [1, 2, 3, 255, 4096, 65_536, 65_537, 1_000_000, 2**31 - 1])
def test_quick_integers_are_those_of_jax(bound):
    key = jax.random.PRNGKey(11)
    np.testing.assert_array_equal(quick_integers(key, (1000,), jnp.int32(bound)), jax.random.randint(key, (1000,), 0, bound))
