"""Steering: the policy chooses the noise that another one turns into an action."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from flowrl_dsl.components.base import Sampled
from flowrl_dsl.components.based import Asked, Base, turned
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import POSITIVE, Drawn, Scalar, option, register


@register
class Steered(Base):
    """``a = clip(g(s, z), -1, 1)``, ``z = scale x``, x ~ pi(. | s), g the map of another policy from noise to an action.

    g is without further randomness: a sampler that draws no random numbers, or a generator with ``noise = none``.  The
    log-density of an action is that of x, as many noises may become one action.
    """

    name = "steered"
    paper: ClassVar[str] = "arXiv:2506.15799"
    provides = frozenset({"base_noise"})
    of_source = MappingProxyType({"scale": frozenset({"noise_map"})})

    scale: Drawn[Scalar] = option("scale of the noise, and the policy that turns it into an action", None, POSITIVE)

    @property
    def source(self) -> str:
        return self.scale.source

    def draw(self, ctx: Context, params: Value, s: Value, asked: Asked) -> Sampled:
        own = ctx.own.backbone.draw(ctx, params, s, f"{asked.name}_unit_noise", asked.particles)
        scale = ctx.scalar(self.scale.value)
        z = ctx.builder.elementwise("jnp.multiply", own.action, scale, name=f"{asked.name}_chosen_noise")
        action = turned(ctx, self.source, asked.s, z, asked.name, asked.frozen)
        ctx.report.bases[action.name] = z
        return Sampled(action, own.log_prob)
