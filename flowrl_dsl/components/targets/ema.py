"""Exponential moving average of parameters."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from flowrl_dsl.algorithm import Condition, Position
from flowrl_dsl.components.changing import Target
from flowrl_dsl.components.common import due
from flowrl_dsl.components.context import Context
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jax
from flowrl_dsl.registry import UNIT, Scalar, option, register


@kernel
def moving_average(copy, params, rate):
    """(1 - rate) copy + rate params, leaf by leaf."""
    return jax.tree.map(lambda c, p: c + rate * (p - c), copy, params)


@register
class EMA(Target):
    """``copy <- (1 - rate) copy + rate parameters`` at every update, or at every n-th one from the update ``after`` on."""

    name = "ema"

    rate: Scalar = option("weight of the new parameters", "0.005", UNIT)

    every: int = Field(1, ge=1, description="updates between the steps of the copy")
    after: int = Field(0, ge=0, description="updates before its first step")

    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        expr = call(moving_average, Arg(0), Arg(1), Arg(2))
        rhythm = Condition(every=self.every, after=self.after)
        if rhythm == Condition():
            return ctx.builder.add("EMA", expr, (copy, params, ctx.scalar(self.rate)), TREE, name)
        moved = ctx.builder.add("EMA", expr, (copy, params, ctx.scalar(self.rate)), TREE, f"{name}_moved")
        return ctx.builder.when(due(ctx.builder, ctx.update_counter, rhythm), [moved], [copy], name)[0]

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        rate = at.algorithm.start(self.rate)
        if rate == 0:
            yield warning("FRL0309", "with rate 0 this copy never moves", at.written("rate"))
        elif rate == 1:
            message = "with rate 1 this copy is the parameters themselves"
            yield warning("FRL0309", message, at.written("rate"), "for instance ema(0.005)")
