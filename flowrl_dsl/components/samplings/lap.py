"""Loss-adjusted prioritised sampling."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampling
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register


@kernel
def lap_priority(q, y, alpha, floor):
    """max(max_e |Q_e - y|, floor)^alpha for each transition."""
    return jnp.maximum(jnp.max(jnp.abs(q - y), axis=0), floor) ** alpha


@register
class LAP(Sampling):
    """Transitions are drawn in proportion to ``max(max_e |Q_e(s, a) - y|, floor)^alpha``, as it was when last drawn.

    Meant for a loss that is linear beyond ``floor`` (``critic { kind = q(huber = 1.0) }``): then the expected gradient is
    that of a loss over the uniform distribution, and no importance weights are needed.  New transitions get the largest
    priority so far, which is taken anew from the replay at each ``refresh``-th update.
    """

    name = "lap"
    paper: ClassVar[str] = "arXiv:2007.06049"
    prioritized: ClassVar[bool] = True

    alpha: Scalar = option("exponent: 0 draws uniformly", "0.4", NOT_NEGATIVE)
    floor: Scalar = option("errors below it count as it", "1.0", POSITIVE)
    refresh: int = Field(250, ge=1, description="updates after which the largest priority is taken anew")

    def priority(self, ctx: Context, q: Value, y: Value) -> Value:
        inputs = (q, y, ctx.scalar(self.alpha), ctx.scalar(self.floor))
        return ctx.builder.add("Weights", call(lap_priority, *map(Arg, range(4))), inputs, Type(("batch",)), "priority")
