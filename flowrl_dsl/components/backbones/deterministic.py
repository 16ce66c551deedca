"""A deterministic policy."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.common import weighted_squares
from flowrl_dsl.components.context import Context, init_params
from flowrl_dsl.components.embedded import network
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Scalar, register


@kernel
def deterministic_action(net, params, s, particles=None, key=None):
    """tanh of the network's output; repeated along the particle axis if ``particles`` is set.  A key turns dropout on."""
    dropout = {} if key is None else {"rngs": {"dropout": key}}
    a = jnp.tanh(net.apply({"params": params}, {"s": s}, **dropout))
    return a if particles is None else jnp.repeat(a[..., None, :], particles, axis=-2)


@register
class Deterministic(Backbone):
    """``a = tanh(f(s))``; all samples of a state are equal."""

    name = "deterministic"
    paper: ClassVar[str] = "arXiv:1509.02971"
    provides = frozenset({"mode", "reparameterized", "imitation"})
    random: ClassVar[bool] = False

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", (("s", ctx.sizes.obs),), ctx.sizes.action)

    def init(self, ctx: Context, key: Value) -> Value:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs))}
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), example), (key,), TREE, ctx.owner)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        inputs = [params, s]
        dropout = ctx.dropout(ctx.own.network, inputs)
        expr = call(deterministic_action, self.module(ctx), Arg(0), Arg(1), particles=particles, **dropout)
        return Sampled(ctx.builder.add("Sample", expr, inputs, Type(ctx.drawn_axes(s, particles)), name))

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        return self.draw(ctx, params, s, name, None).action

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """Weighted squared distance."""
        return weighted_squares(ctx, self.mode(ctx, params, s, "imitating"), a, weight)
