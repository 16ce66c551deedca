"""Kernels of single denoising steps, at times of a sampler's grid."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp


@kernel
def random_step(key, a, times):
    """One of the sampler's steps for each action: the times of its two ends, and whether it is the last one, 1 or 0."""
    k = jax.random.randint(key, a.shape[:-1], 0, times.shape[0] - 1)
    return times[k], times[k + 1], (k == times.shape[0] - 2).astype(jnp.float32)


@kernel
def kl_weights(alpha, times):
    """The ``kl_weight`` of each of the sampler's steps: [steps]."""
    return kl_weight(alpha(times[:-1]), alpha(times[1:]))


@kernel
def kl_weight(alpha, alpha_less):
    """beta / (2 (1 - beta) (1 - alpha_t^2)), beta = 1 - alpha_t^2 / alpha_u^2, of a step from time t to u.

    Times |e - e'|^2 it is the divergence of two steps of variance beta with the predicted noises e and e'.
    """
    kept = (alpha / alpha_less) ** 2
    return (1 - kept) / (2 * kept * (1 - alpha**2))
