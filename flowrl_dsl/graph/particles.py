"""Functions of the candidates of one state that formulas offer: exact weights on a simplex, and the kernel mean shift."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp


@kernel
def sums_above(z):
    """Along the last axis, sorted falling: sum_{i <= k} (z_i - z_k) and sum_{i <= k} (z_i - z_k)^2 for each k.

    Both are running sums of terms that are not negative: nothing cancels, and they grow with k in float32 as well.
    """
    gap = z[..., :-1] - z[..., 1:]
    k = jnp.arange(1, z.shape[-1])
    start = jnp.zeros_like(z[..., :1])
    first = jnp.concatenate([start, jnp.cumsum(k * gap, axis=-1)], axis=-1)
    second = jnp.concatenate([start, jnp.cumsum(gap * (2 * first[..., :-1] + k * gap), axis=-1)], axis=-1)
    return first, second


@kernel
def simplex_linear(z, b, axis):
    """max(z - nu, b / N) along an axis of length N, with nu such that the weights sum to 1; a b above 1 counts as 1.

    The mass c = 1 - b above the floor is shared by the k largest, nu' = mean of these - c / k, where k is the last at which
    sum_{i <= k} (z_i - z_k) < c.  What lies c or more below the largest gets the floor alone, so that no input overflows.
    The shares are scaled to c once more at the end: of N roundings one is left.
    """
    line = jnp.moveaxis(z, axis, -1)
    mass = 1 - jnp.minimum(b, 1.0)
    line = jnp.maximum(line - jax.lax.stop_gradient(jnp.max(line, axis=-1, keepdims=True)), -mass)
    falling = -jnp.sort(-line, axis=-1)
    active = sums_above(falling)[0] < mass
    k = jnp.maximum(jnp.sum(active, axis=-1, keepdims=True), 1)
    nu = (jnp.sum(jnp.where(active, falling, 0.0), axis=-1, keepdims=True) - mass) / k
    share = jnp.maximum(line - nu, 0.0)
    total = jnp.sum(share, axis=-1, keepdims=True)
    share = share * (mass / jnp.where(total > 0, total, 1.0))
    return jnp.moveaxis(jnp.minimum(b, 1.0) / line.shape[-1] + share, -1, axis)


@kernel
def simplex_square(z, axis):
    """max(z - nu, 0)^2 along an axis, with nu such that the weights sum to 1.

    For the k largest, of mean m and scatter D = sum (z_i - m)^2, nu = m - sqrt((1 - D) / k); k is the last at which
    sum_{i <= k} (z_i - z_k)^2 < 1, and then 1 - D is at least about 1 / k.  What lies 1 or more below the largest has no
    weight, so that no input overflows.
    """
    line = jnp.moveaxis(z, axis, -1)
    line = jnp.maximum(line - jax.lax.stop_gradient(jnp.max(line, axis=-1, keepdims=True)), -1.0)
    falling = -jnp.sort(-line, axis=-1)
    active = sums_above(falling)[1] < 1
    k = jnp.sum(active, axis=-1, keepdims=True)
    mean = jnp.sum(jnp.where(active, falling, 0.0), axis=-1, keepdims=True) / k
    scatter = jnp.sum(jnp.where(active, jnp.square(falling - mean), 0.0), axis=-1, keepdims=True)
    weight = jnp.square(jnp.maximum(line - mean + jnp.sqrt((1 - scatter) / k), 0.0))
    return jnp.moveaxis(weight / jnp.sum(weight, axis=-1, keepdims=True), -1, axis)


@kernel
def median_size(x):
    """Median along the last axis of non-negative numbers: [..., n] becomes [...].

    Their bit patterns, read as integers, have the same order, and processors sort integers several times faster.
    """
    n = x.shape[-1]
    rising = jnp.sort(jax.lax.bitcast_convert_type(x, f"int{8 * x.dtype.itemsize}"), axis=-1)
    middle = rising[..., (n - 1) // 2 : n // 2 + 1]
    return jnp.mean(jax.lax.bitcast_convert_type(middle, x.dtype), axis=-1)


@kernel
def mean_shift(x, y, floor, axis):
    """sum_j k_j y_j / sum_j k_j - x for points x and the n points y_j along an axis, their components along the last one.

    k_j = exp(-|x - y_j|^2 / (2 v)), v = max(median_j |x - y_j|^2 / (2 log(n + 1)), floor), a constant for gradients.
    """
    away = jnp.moveaxis(y - x, axis, -2)
    square = jnp.sum(jnp.square(away), axis=-1)
    median = median_size(jax.lax.stop_gradient(square)) / (2 * jnp.log(square.shape[-1] + 1.0))
    v = jnp.maximum(median, jnp.maximum(floor, 1e-12))[..., None]
    share = jax.nn.softmax(-square / (2 * v), axis=-1)
    return jnp.sum(share[..., None] * away, axis=-2)
