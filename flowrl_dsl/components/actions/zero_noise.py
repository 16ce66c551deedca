"""The action that zero noise becomes."""

from __future__ import annotations

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class ZeroNoise(ActionChoice):
    """``a = f(s, 0)``, f the map by which the policy turns standard normal noise into actions, without further randomness.

    Zero is the most likely noise.  It becomes the most likely action where f is affine in the noise; elsewhere it is one
    typical action, which differs from one state to another alone.
    """

    name = "zero_noise"
    requires = frozenset({"zero_noise"})

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        ctx, *given = ctx.actor(source, s)
        return ctx.own.backbone.noiseless(ctx, *given, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return False
