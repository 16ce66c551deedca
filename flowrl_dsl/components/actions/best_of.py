"""The best of several samples according to the critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from flowrl_dsl.algorithm import Algorithm, Position
from flowrl_dsl.axes import without
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.candidates import MEANING, Also, candidates
from flowrl_dsl.components.common import take_best
from flowrl_dsl.components.context import Context
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.registry import register


@register
class BestOf(ActionChoice):
    """``a = argmax_n min_e Q_e(s, a_n)`` (or mean_e) over n samples of the policy.

    With ``also = bases`` the candidates are n actions of the policy's base, and their edits by the policy.
    """

    name = "best_of"
    requires = frozenset({"q_value"})

    n: int = Field(ge=1, description="number of samples")
    by: Literal["min", "mean"] = Field("min", description="reduction over ensemble members")
    also: Also = Field(None, description=MEANING)

    def needs(self) -> frozenset[str]:
        return self.requires | (frozenset({"base_action"}) if self.also else frozenset())

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        a = candidates(ctx, source, s, name, self.n, self.also)
        q = ctx.builder.reduce(f"jnp.{self.by}", ctx.q(values, s, a), ("ensemble",), f"{name}_score")
        best = Type(without(a.axes, "particle"))
        return ctx.builder.add("Select", call(take_best, Arg(0), Arg(1)), (a, q), best, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return backbone.random

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        if self.n == 1 and not self.also:
            message = "the best of one sample is that sample"
            yield warning("FRL0304", message, at.written("n"), "write sample, or best_of with more")
