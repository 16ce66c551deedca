"""Linear interpolation between two values, constant afterwards."""

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
def linear_schedule(step, start, end, over):
    """start + (end - start) min(update / over, 1)"""
    return start + (end - start) * jnp.minimum(step / over, 1.0)


@register
class Linear(Schedule):
    """``linear(start -> end, over = n)``: ``start + (end - start) min(update / over, 1)``."""

    name = "linear"

    start: Scalar = option("value at update 0; written before the arrow")
    end: Scalar = option("value from update `over` on; written after the arrow")
    over: int = Field(ge=1, description="updates from start to end")

    def value(self, ctx: Context, step: Value, name: str) -> Value:
        expr = call(linear_schedule, Arg(0), Arg(1), Arg(2), over=self.over)
        inputs = (step, ctx.scalar(self.start), ctx.scalar(self.end))
        return ctx.builder.add("Schedule", expr, inputs, SCALAR, name)
