"""Distillation: the policy learns what another one makes of the same noise."""

from __future__ import annotations

from types import MappingProxyType

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import mean_squared_error
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Drawn, option, register


@kernel
def taught(a):
    """The teacher's actions within [-1, 1], constants."""
    return jax.lax.stop_gradient(jnp.clip(a, -1.0, 1.0))


@register
class Distillation(Mechanism):
    """``E[mean_{N, A} (f(s, z) - clip(g(s, z), -1, 1))^2]``, z ~ N(0, I), g the map of the teacher, a constant.

    Both policies map noise to an action without further randomness: a sampler of a flow or a diffusion that draws no random
    numbers, or a generator with ``noise = none``.  The output f of the policy that learns is not clipped.
    """

    name = "distillation"
    paper = "arXiv:2502.02538"
    requires = frozenset({"noise_map"})
    of_source = MappingProxyType({"draws": frozenset({"noise_map"})})

    draws: Drawn[int] = option("noises per state, and the policy that teaches")

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, teacher = ctx.builder, self.draws.source
        z = ctx.normal(s, ctx.sizes.action, "noise", self.draws.value)
        goal = b.elementwise("taught", self._mapped(ctx, teacher, s, z, "teacher"), name="goal")
        said = self._mapped(ctx, ctx.owner, s, z, "student")
        return Loss(b.add("Loss", call(mean_squared_error, Arg(0), Arg(1)), (said, goal), SCALAR, "loss"))

    def _mapped(self, ctx: Context, source: str, s: Value, z: Value, name: str) -> Value:
        own, params, s = ctx.in_training().actor(source, s) if source == ctx.owner else ctx.actor(source, s)
        return own.own.backbone.mapped(own, params, s, z, name)
