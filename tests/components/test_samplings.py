"""Epochs: every row once, in orders that differ."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.samplings.epochs import Epochs, permuted

CAPACITY, MOST = 100, 3000
jit_permuted = jax.jit(permuted)


def draws(size: int, batch: int, count: int, seed: int = 0) -> np.ndarray:
    """The places of so many batches: [count, batch]."""
    sampling, storage, found = Epochs(), {"size": np.int32(size)}, []
    memory, draw = sampling.memory(CAPACITY), jax.jit(partial(sampling.draw, count=batch))
    for k in range(count):
        memory, places = draw(memory, storage, jax.random.fold_in(jax.random.PRNGKey(seed), k))
        found.append(np.asarray(places))
    return np.stack(found)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, MOST), st.integers(0, 2**16))
def test_it_is_a_permutation_of_the_rows(size, seed):
    asked = np.arange(MOST, dtype=np.int32) % size
    places = np.asarray(jit_permuted(jax.random.PRNGKey(seed), asked, np.int32(size)))[:size]
    np.testing.assert_array_equal(np.sort(places), np.arange(size))


def test_all_orders_of_three_rows_are_about_equally_likely():
    keys = jax.random.split(jax.random.PRNGKey(0), 6000)
    orders = np.asarray(jax.vmap(lambda key: permuted(key, np.arange(3, dtype=np.int32), np.int32(3)))(keys))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6 and np.abs(counts - 1000).max() < 150


def test_an_epoch_contains_every_row_once_and_the_next_has_another_order():
    first, second = draws(12, 4, 6)[:3].ravel(), draws(12, 4, 6)[3:].ravel()
    np.testing.assert_array_equal(np.sort(first), np.arange(12))
    np.testing.assert_array_equal(np.sort(second), np.arange(12))
    assert (first != second).any()


def test_rows_that_fill_no_batch_are_left_out_of_the_epoch():
    places = draws(10, 4, 200).reshape(100, 8)
    assert all(len(np.unique(epoch)) == 8 for epoch in places)
    assert np.abs(np.bincount(places.ravel(), minlength=10) - 80).max() < 20


def test_fewer_rows_than_a_batch_are_drawn_again():
    assert {*draws(3, 8, 2).ravel()} == {0, 1, 2}
