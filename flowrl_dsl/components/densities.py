"""Densities that several components compute."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp


@kernel
def log_normal_by_component(x, mean, std):
    """log N(x; mean, std^2) of each component."""
    return -0.5 * jnp.square((x - mean) / std) - jnp.log(std) - 0.5 * jnp.log(2 * jnp.pi)


@kernel
def log_normal(x, mean, std):
    """log N(x; mean, std^2), summed over the components of the action."""
    return jnp.sum(log_normal_by_component(x, mean, std), axis=-1)


@kernel
def reached(chain, a):
    """Where each step of a chain [..., denoise, action] that ended at a [..., action] led: [..., denoise, action]."""
    lead = jnp.broadcast_shapes(chain.shape[:-2], a.shape[:-1])
    later = jnp.broadcast_to(chain[..., 1:, :], (*lead, chain.shape[-2] - 1, chain.shape[-1]))
    return jnp.concatenate([later, jnp.broadcast_to(a, (*lead, a.shape[-1]))[..., None, :]], axis=-2)
