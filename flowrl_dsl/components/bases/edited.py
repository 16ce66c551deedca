"""Edits: the policy changes the actions of another one by a little."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Sampled
from flowrl_dsl.components.based import Asked, Base, within_bounds
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import NOT_NEGATIVE, Drawn, Scalar, option, register


@kernel
def observation_and_base(s, a):
    """[s, a]; s is repeated along the leading axes of a."""
    return jnp.concatenate([jnp.broadcast_to(s, (*a.shape[:-1], s.shape[-1])), a], axis=-1)


@kernel
def edit(base, delta, scale):
    """base + scale delta within [-1, 1]."""
    return jnp.clip(base + scale * delta, -1.0, 1.0)


@register
class Edited(Base):
    """``a = clip(a_base + scale delta, -1, 1)``, delta ~ pi(. | s, a_base), a_base an action of another policy in [-1, 1].

    The policy's network reads the observation and a_base.  The log-density of an action is that of delta given a_base.
    """

    name = "edited"
    paper: ClassVar[str] = "arXiv:2507.07986"
    provides = frozenset({"base_action"})
    keeps_randomness: ClassVar[bool] = True

    scale: Drawn[Scalar] = option("scale of the edit, and the policy whose actions are edited", None, NOT_NEGATIVE)

    @property
    def source(self) -> str:
        return self.scale.source

    def reading(self, ctx: Context) -> Context:
        return replace(ctx, sizes=replace(ctx.sizes, obs=ctx.sizes.obs + ctx.sizes.action))

    def draw(self, ctx: Context, params: Value, s: Value, asked: Asked) -> Sampled:
        b, name = ctx.builder, asked.name
        a = asked.base
        if a is None:
            drawn = ctx.draw(self.source, asked.s, f"{name}_base", asked.particles, asked.frozen, ctx.candidates)
            a = within_bounds(ctx, drawn, f"{name}_edited")
        lead = leading(s, a)
        pair = b.add(
            "Embed", call(observation_and_base, rows(0, s, lead), rows(1, a, lead)), (s, a), Type((*lead, "obs")), "s_and_a"
        )
        own = ctx.own.backbone.draw(self.reading(ctx), params, pair, f"{name}_edit", None)
        scale = ctx.scalar(self.scale.value)
        expr = call(edit, Arg(0), Arg(1), Arg(2))
        type = Type(union(lead, ("action",)))
        action = b.add("Sample", expr, (a, own.action, scale), type, name)
        ctx.report.bases[action.name] = a
        return Sampled(action, own.log_prob)
