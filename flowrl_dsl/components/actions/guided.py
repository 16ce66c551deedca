"""A sample whose denoising steps follow the gradient of values of noisy actions."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import Guide
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import Drawn, Scalar, option, register


@register
class Guided(ActionChoice):
    """``a`` by the policy's sampler, with ``eps(s, a_t, t) - scale sigma grad V_t(s, a_t, t)`` as predicted noise.

    V_t is the mean over the members of a section ``noisy_value``.  The score ``-eps / sigma`` of the noisy actions grows by
    the gradient of scale V_t: where V_t is ``log E[exp(q) | a_t]`` up to a constant, the expectation over the clean actions
    from which a_t may have been noised, samples with scale 1 have the density of the policy times exp(q).
    """

    name = "guided"
    paper = "arXiv:2304.12824"
    requires = frozenset({"guided_draws", "noisy_value"})

    guide: Drawn[Scalar] = option("scale of the gradient, and the values it is of", scales="V_t")

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        sections: Any = ctx.algorithm.sections
        read = self.guide.source
        owner = ctx.owner_of(read)
        guide: Guide = sections[owner].guide(ctx, read, s, ctx.scalar(self.guide.value))
        ctx, params, seen = ctx.actor(source, s)
        return ctx.own.backbone.guided(ctx, params, seen, name, guide)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return backbone.random
