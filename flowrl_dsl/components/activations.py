"""Activation functions, shared by networks and embeddings."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp, nn


@kernel
def mish(x):
    """x tanh(softplus(x))"""
    return x * jnp.tanh(nn.softplus(x))


@kernel
def quick_mish(x):
    """x tanh(softplus(x)) = x (e^2 + 2e)/(e^2 + 2e + 2) with e = exp(x): one exponential in place of three functions.

    Beyond 20 the quotient rounds to 1, so the exponent is bounded there.
    """
    e = jnp.exp(jnp.minimum(x, 20.0))
    u = e * (e + 2.0)
    return x * (u / (u + 2.0))


@kernel
def activation_function(name):
    """The activation function of that name."""
    ours = {"mish": mish, "quick_mish": quick_mish}
    return ours.get(name) or {"relu": nn.relu, "elu": nn.elu, "gelu": nn.gelu, "silu": nn.silu, "tanh": nn.tanh}[name]
