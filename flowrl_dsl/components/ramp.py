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
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.registry import Scalar, option


class Ramp(Schedule):
    """From ``start`` at update 0 to ``end`` at update ``over``, by the kernel ``curve`` of (step, start, end, over)."""

    asks = ("curve",)
    curve: ClassVar[str]

    start: Scalar = option("value at update 0; written before the arrow")
    end: Scalar = option("value from update `over` on; written after the arrow")
    over: int = Field(ge=1, description="updates from start to end")

    def value(self, ctx: Context, step: Value, name: str) -> Value:
        expr = call(self.curve, Arg(0), Arg(1), Arg(2), over=self.over)
        inputs = (step, ctx.scalar(self.start), ctx.scalar(self.end))
        return ctx.builder.add("Schedule", expr, inputs, SCALAR, name)

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """A ramp that goes nowhere, or that the run ends before."""
        train: Any = at.algorithm.sections["train"]
        steps = train.in_phases(at.algorithm).get("steps", train.steps)
        updates, start = steps * train.updates, at.algorithm.start(self.start)
        if start == at.algorithm.start(self.end):
            yield warning("FRL0321", f"the schedule stays at {start:g}", at.written("over"))
        elif self.over > updates:
            message = f"the schedule ends after {self.over} updates, the run after {updates}"
            yield warning("FRL0321", message, at.written("over"))
