"""One sample of the policy with Gaussian noise."""

from __future__ import annotations

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.common import add_noise
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register


@register
class Noise(ActionChoice):
    """``a = clip(sample + clip(scale noise, -clip, clip), -bound, bound)``, noise standard normal."""

    name = "noise"

    scale: Scalar = option("standard deviation", None, NOT_NEGATIVE)
    clip: Scalar | None = option("bound on the noise; none for unbounded", "none", POSITIVE)
    bound: Scalar | None = option("bound on the action, before the environment bounds it; none for 1", "none", POSITIVE)

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        a = ctx.draw(source, s, f"{name}_sample")
        noise = ctx.normal(s, ctx.sizes.action, f"{name}_added")
        inputs, options = [a, noise, ctx.scalar(self.scale)], {}
        for option_name, number in (("clip", self.clip), ("bound", self.bound)):
            if number is not None:
                options[option_name] = Arg(len(inputs))
                inputs.append(ctx.scalar(number))
        return ctx.builder.add("Noise", call(add_noise, *map(Arg, range(3)), **options), inputs, a.type, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return backbone.random or algorithm.start(self.scale) != 0
