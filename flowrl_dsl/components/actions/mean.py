"""The policy's most likely action."""

from __future__ import annotations

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class Mean(ActionChoice):
    """``a = mode of pi(. | s)``: tanh(mean) of a squashed Gaussian, the action itself of a deterministic policy."""

    name = "mean"
    requires = frozenset({"mode"})

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        ctx, *given = ctx.actor(source, s)
        return ctx.own.backbone.mode(ctx, *given, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return False
