"""Half a cosine between two values, constant afterwards."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Schedule
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Scalar, option, register


@kernel
def cosine_schedule(step, start, end, over):
    """end + (start - end) (1 + cos(pi min(update / over, 1))) / 2"""
    return end + (start - end) * (1 + jnp.cos(jnp.pi * jnp.minimum(step / over, 1.0))) / 2


@register
class Cosine(Schedule):
    """``cosine(start -> end, over = n)``: ``end + (start - end) (1 + cos(pi min(update / over, 1))) / 2``."""

    name = "cosine"

    start: Scalar = option("value at update 0; written before the arrow")
    end: Scalar = option("value from update `over` on; written after the arrow")
    over: int = Field(ge=1, description="updates from start to end")

    def value(self, ctx: Context, step: Value, name: str) -> Value:
        expr = call(cosine_schedule, Arg(0), Arg(1), Arg(2), over=self.over)
        inputs = (step, ctx.scalar(self.start), ctx.scalar(self.end))
        return ctx.builder.add("Schedule", expr, inputs, SCALAR, name)
