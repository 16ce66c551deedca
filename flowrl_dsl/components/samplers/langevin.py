"""Langevin steps on an energy."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.energy_sampling import EnergySampler
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Call, Expr, call, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel(quick="quick")
def langevin(energy, a, key, levels, sizes, beta, unit_slope, quick=False):
    """a <- clip(a + size/2 beta g + sqrt(size) noise, -1, 1), g the gradient of the energy at each step's level.

    With ``unit_slope`` g is divided by its norm, so that the step length is independent of the scale of values.
    """
    slope = jax.grad(lambda a, level: jnp.sum(energy(a, level)))

    def step(a, now):
        level, size, key = now
        g = slope(a, level)
        if unit_slope:
            g = g / jnp.maximum(jnp.linalg.norm(g, axis=-1, keepdims=True), 1e-8)
        moved = a + size / 2 * beta * g + jnp.sqrt(size) * normal_numbers(key, a.shape, quick)
        return jnp.clip(moved, -1.0, 1.0), None

    keys = jax.random.split(key, levels.shape[0])
    return jax.lax.scan(step, jnp.clip(a, -1.0, 1.0), (levels, sizes, keys))[0]


@register
class Langevin(EnergySampler):
    """``a <- a + size/2 beta grad Q(s, a) + sqrt(size) noise``, kept in [-1, 1].

    In the limit of many small steps, a has the density exp(beta Q) on [-1, 1], up to normalisation.
    """

    name = "langevin"
    paper: ClassVar[str] = "arXiv:1811.02553"
    requires = frozenset({"energy"})

    steps: int = Field(20, ge=1, description="steps K")
    size: Scalar = option("step size: the variance of the noise", "0.01", POSITIVE)
    beta: Scalar = option("inverse temperature", "10", POSITIVE)

    def chain(self, ctx: Context, energy: Expr, start: Expr, key: Expr, inputs: list[Value]) -> Call:
        size, beta = ctx.argument(self.size, inputs), ctx.argument(self.beta, inputs)
        levels, sizes = call("jnp.ones", (self.steps,)), call("jnp.full", (self.steps,), size)
        return call(langevin, energy, start, key, levels=levels, sizes=sizes, beta=beta, unit_slope=False)
