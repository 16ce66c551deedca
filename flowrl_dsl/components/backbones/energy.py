"""No actor network: actions are sampled by following the critic's gradient."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Dictionary
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.registry import register


@register
class Energy(Backbone):
    """``pi(a|s)`` proportional to ``exp(beta Q(s, a))``, drawn by Langevin steps on Q from uniformly random actions.

    There is nothing to train but Q.

    Uses the critic version visible to the stage that draws.
    """

    name = "energy"
    paper: ClassVar[str] = "arXiv:1702.08165"
    requires = frozenset({"energy", "energy_sampler"})
    trains: ClassVar[bool] = False

    def init(self, ctx: Context, key: Value) -> Value:
        """No parameters."""
        return ctx.builder.add("Init", Dictionary(()), (), TREE, ctx.owner)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        """Actions by the policy's sampler, from actions uniform in [-1, 1]."""
        prior = ctx.uniform(s, f"{name}_prior", particles)
        inputs = [ctx.versions["critic"], s, prior, ctx.draw_key(f"{name}_steps")]
        energy = ctx.critic.kind.energy(ctx.of("critic"), Arg(0), rows(1, s, leading(s, prior)))
        expr = ctx.own.sampler.chain(ctx, energy, Arg(2), Arg(3), inputs)
        return Sampled(ctx.builder.add("Sample", expr, inputs, prior.type, name))
