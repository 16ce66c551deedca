"""A step size that follows the divergence that its steps cause."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.stored_number import StoredNumber
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def by_divergence(x, kl, target, factor, low, high):
    """x / factor where kl > 2 target, x factor where 0 < kl < target / 2, else x; the result within [low, high].

    A divergence below 1e-6 is 0 up to rounding.
    """
    slower, faster = kl > 2 * target, (kl > 1e-6) & (kl < target / 2)
    return jnp.clip(jnp.where(slower, x / factor, jnp.where(faster, x * factor, x)), low, high)


@register
class Adaptive(StoredNumber):
    """``x <- x / factor`` where the measured divergence is above ``2 target_kl``, ``x <- x factor`` below ``target_kl / 2``.

    For a learning rate of on-policy algorithms.  The divergence is the ``kl`` that the stage ``policy`` measured in this
    update, before its step; the next update reads x.  It stays in the range that ``in`` declares.  A divergence of 0, as at
    the first update on a rollout, changes nothing.
    """

    name = "adaptive"
    paper = "arXiv:1707.06347"
    requires = frozenset({"kl"})

    init: float = Field(3e-4, gt=0, description="initial value")
    target_kl: Scalar = option("divergence that the steps are to cause", "0.01", POSITIVE)
    factor: Scalar = option("factor of a change", "1.5", POSITIVE)

    def measured(self, ctx: Context, s: Value) -> Value:
        return ctx.measured("kl")

    def update(self, ctx: Context, name: str, group: str, measured: Value) -> dict[str, Value]:
        """The value after this update."""
        declared = ctx.algorithm.parameters[name].interval
        inputs = (ctx.versions[group], measured, ctx.scalar(self.target_kl), ctx.scalar(self.factor))
        expr = call(by_divergence, *map(Arg, range(4)), low=declared.low, high=declared.high)
        return {group: ctx.builder.add("Arithmetic", expr, inputs, SCALAR, "next")}
