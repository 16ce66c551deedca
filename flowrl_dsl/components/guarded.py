"""Kernels of the guard against non-finite values."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp


@kernel
def gradient_norm(gradient):
    """Euclidean norm over all parameters.

    The numbers are scaled by 2^-20 (exactly) before squaring: the norm of any gradient up to 1e25 is finite.
    """
    return 2.0**20 * jnp.sqrt(sum(jnp.sum(jnp.square(2.0**-20 * leaf)) for leaf in jax.tree.leaves(gradient)))


@kernel
def gradient_and_loss_are_finite(loss, norm):
    """1 when both are finite, else 0."""
    return (jnp.isfinite(loss) & jnp.isfinite(norm)).astype(jnp.float32)
