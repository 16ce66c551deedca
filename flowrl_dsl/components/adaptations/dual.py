"""A number that rises while a measured quantity is above a bound: a Lagrange multiplier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.stored_number import StoredNumber
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def ascended(x, measured, at_most, rate, low, high, step=None):
    """x + rate (measured - at_most), the excess within [-step, step], the result within [low, high]."""
    excess = measured - at_most
    excess = excess if step is None else jnp.clip(excess, -step, step)
    return jnp.clip(x + rate * excess, low, high)


@register
class Dual(StoredNumber):
    """``x <- clip(x + rate clip(measured - at_most, -step, step), low, high)``, [low, high] the range of the parameter.

    Gradient ascent on the multiplier of the constraint that a measured quantity is ``at_most`` a bound.  The quantity is
    that of the stage ``policy``: ``imitation_error``, the loss of its ``imitation`` block before its factor, or ``kl``.
    The range is the one that ``in`` declares.
    """

    name = "dual"
    paper = "arXiv:2405.20555"

    init: float = Field(1.0, ge=0, description="initial value")
    of: Literal["imitation_error", "kl"] = Field("imitation_error", description="the quantity that is measured")
    at_most: Scalar = option("bound on the measured quantity", "1.0")
    rate: Scalar = option("rate of the ascent", "0.001", POSITIVE)
    step: Scalar | None = option("bound on the excess that one step follows; none for unbounded", "none", POSITIVE)

    def needs(self) -> frozenset[str]:
        return frozenset({self.of})

    def measured(self, ctx: Context, s: Value) -> Value:
        return ctx.measured(self.of)

    def update(self, ctx: Context, name: str, group: str, measured: Value) -> dict[str, Value]:
        """One step of the ascent."""
        declared = ctx.algorithm.parameters[name].interval
        inputs = [ctx.versions[group], measured, ctx.scalar(self.at_most), ctx.scalar(self.rate)]
        options = {} if self.step is None else {"step": ctx.argument(self.step, inputs)}
        expr = call(ascended, *map(Arg, range(4)), low=declared.low, high=declared.high, **options)
        return {group: ctx.builder.add("Arithmetic", expr, inputs, SCALAR, "next")}
