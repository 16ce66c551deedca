"""Activation functions, shared by networks and embeddings."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp, nn


@kernel
def quick_mish(x):
    """x tanh(softplus(x)) = x u/(u + 2) with u = e^2 + 2e, e = exp(x): one exponential in place of three functions.

    The slope, u/(u + 2) + 4 x e (e + 1)/(u + 2)^2, is computed with the value: a gradient keeps one number for each x.
    Beyond 20 the quotient rounds to 1, so the exponent is bounded there.
    """

    @jax.custom_jvp
    def f(x):
        e = jnp.exp(jnp.minimum(x, 20.0))
        u = e * (e + 2.0)
        return x * (u / (u + 2.0))

    @f.defjvp
    def value_and_change(primals, tangents):
        (x,), (dx,) = primals, tangents
        y = jnp.minimum(x, 20.0)
        e = jnp.exp(y)
        u = e * (e + 2.0)
        slope = u / (u + 2.0) + 4.0 * y * e * (e + 1.0) / jnp.square(u + 2.0)
        return x * (u / (u + 2.0)), slope * dx

    return f(x)


@kernel(cheap="quick_mish")
def mish(x):
    """x tanh(softplus(x))"""
    return x * jnp.tanh(nn.softplus(x))


@kernel
def activation_function(name):
    """The activation function of that name, traced once for each shape."""
    if name == "mish":
        return jax.jit(mish)
    if name == "quick_mish":
        return jax.jit(quick_mish)
    return getattr(nn, name)
