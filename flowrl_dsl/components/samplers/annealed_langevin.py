"""Langevin steps from the noisiest level of a noise-conditioned critic down to the least noisy one."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.energy_sampling import EnergySampler
from flowrl_dsl.components.samplers.langevin import langevin
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Call, Expr, call, kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def annealed_levels(levels, steps):
    """The levels 0, 1/(L-1), ... 1, each repeated ``steps`` times."""
    return jnp.repeat(jnp.linspace(0.0, 1.0, levels), steps)


@kernel
def annealed_sizes(levels, steps, size, spread):
    """size (sigma_l / sigma_L)^2 for geometric sigmas, ``spread`` the ratio of the first to the last."""
    return size * spread ** (2 * (1 - annealed_levels(levels, steps)))


@register
class AnnealedLangevin(EnergySampler):
    """At each noise level l from the largest on: ``a <- a + size_l/2 beta g/|g| + sqrt(size_l) noise``, kept in [-1, 1].

    ``g = grad_a Q(s, a, l)``, ``size_l = size (sigma_l / sigma_L)^2`` with the critic's levels sigma.
    """

    name = "annealed_langevin"
    paper: ClassVar[str] = "arXiv:1907.05600"
    requires = frozenset({"noise_levels"})

    steps: int = Field(2, ge=1, description="steps at each level")
    size: Scalar = option("step size at the last level", "1e-4", POSITIVE)
    beta: Scalar = option("length of the slope", "500", POSITIVE)

    def chain(self, ctx: Context, energy: Expr, start: Expr, key: Expr, inputs: list[Value]) -> Call:
        kind = ctx.critic.kind
        size, beta = ctx.argument(self.size, inputs), ctx.argument(self.beta, inputs)
        at = {"levels": kind.levels, "steps": self.steps}
        sizes = call(annealed_sizes, **at, size=size, spread=kind.high / kind.low)
        rates = {"levels": call(annealed_levels, **at), "sizes": sizes, "beta": beta}
        return call(langevin, energy, start, key, **rates, unit_slope=True)
