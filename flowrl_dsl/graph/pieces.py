"""Chunked computation over independent states."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp


@kernel
def in_pieces(function, values, axes, out_axes, limit):
    """function(*values), for some states at a time, so that intermediate values stay in the processor's cache.

    ``axes`` are the positions of the states in the values (arrays or trees of arrays), ``out_axes`` those in the tuple of
    results; a result without one is a mean over states.  A value [..., states, n, features] has n rows for each state; a
    piece has as many states as divide their number and keep it within ``limit`` rows, at least one.
    """
    leaves = [(leaf, axis) for value, axis in zip(values, axes, strict=True) for leaf in jax.tree.leaves(value)]
    states = leaves[0][0].shape[leaves[0][1]]
    rows = max(leaf.size // (states * leaf.shape[-1]) for leaf, axis in leaves if axis < leaf.ndim - 1)
    pieces = next(n for n in range(1, states + 1) if states % n == 0 and (states // n * rows <= limit or n == states))
    if pieces == 1:
        return function(*values)

    def cut(x, axis):
        parts = x.reshape(*x.shape[:axis], pieces, states // pieces, *x.shape[axis + 1 :])
        return jnp.moveaxis(parts, axis, 0)

    def joined(x, axis):
        parts = jnp.moveaxis(x, 0, axis)
        return parts.reshape(*parts.shape[:axis], states, *parts.shape[axis + 2 :])

    @jax.jit  # traced once, for both the shapes and the loop
    def results_of(parts):
        results = tuple(zip(function(*parts), out_axes, strict=True))
        return [x for x, axis in results if axis is None], [x for x, axis in results if axis is not None]

    def one(sums, parts):
        means, by_state = results_of(parts)
        return jax.tree.map(jnp.add, sums, means), by_state

    cuts = tuple(jax.tree.map(lambda x, k=axis: cut(x, k), value) for value, axis in zip(values, axes, strict=True))
    shapes, _ = jax.eval_shape(results_of, jax.tree.map(lambda x: x[0], cuts))
    sums, by_state = jax.lax.scan(one, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes), cuts)
    means, found = iter(jax.tree.map(lambda x: x / pieces, sums)), iter(by_state)
    return tuple(next(means) if axis is None else joined(next(found), axis) for axis in out_axes)
