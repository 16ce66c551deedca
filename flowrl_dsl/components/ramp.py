"""What schedules share that run from one value to another in a number of updates and stay there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.changing import Schedule
from flowrl_dsl.components.context import Context
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Scalar, option


@kernel
def updates_since(step, after):
    """The number of updates since update ``after``; 0 before it."""
    return jnp.maximum(step - after, 0)


class Ramp(Schedule):
    """From ``start`` to ``end`` in ``over`` updates, by the kernel ``curve`` of (step, start, end, over).

    It begins at the update ``after``, and is ``start`` before.
    """

    asks = ("curve",)
    curve: ClassVar[str]

    start: Scalar = option("value at the beginning; written before the arrow")
    end: Scalar = option("value at the end; written after the arrow")
    over: int = Field(ge=1, description="updates from start to end")
    after: int | None = Field(None, ge=0, description="update at which it begins, counted from 0; none for the first one")

    def value(self, ctx: Context, step: Value, name: str) -> Value:
        counter = call(updates_since, Arg(0), self.after) if self.after else Arg(0)
        expr = call(self.curve, counter, Arg(1), Arg(2), over=self.over)
        inputs = (step, ctx.scalar(self.start), ctx.scalar(self.end))
        return ctx.builder.add("Schedule", expr, inputs, SCALAR, name)

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """A ramp that goes nowhere, or that the run ends before."""
        train: Any = at.algorithm.sections["train"]
        steps = train.in_phases(at.algorithm).get("steps", train.steps)
        updates, start = steps * train.updates, at.algorithm.start(self.start)
        if start == at.algorithm.start(self.end):
            yield warning("FRL0321", f"the schedule stays at {start:g}", at.written("over"))
        elif (end := (self.after or 0) + self.over) > updates:
            message = f"the schedule ends after {end} updates, the run after {updates}"
            yield warning("FRL0321", message, at.written("over"))
