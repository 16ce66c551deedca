"""A one-step generator: a network that maps noise to an action."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.context import Context, gaussian_noise, init_params
from flowrl_dsl.components.embedded import network
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@kernel
def straight_through_clip(x):
    """x clipped to [-1, 1]; its gradient is that of x, so clipped actions still receive gradients."""
    return jax.lax.stop_gradient(jnp.clip(x, -1.0, 1.0)) + (x - jax.lax.stop_gradient(x))


@kernel(quick="quick")
def generate(net, params, s, key, noise, particles=None, quick=False):
    """f(s, z) clipped straight through, z ~ N(0, I) of dimension ``noise``: [..., action], or [..., particles, action]."""
    z = gaussian_noise(key, s, noise, particles, quick)
    s = s if particles is None else s[..., None, :]
    return straight_through_clip(net.apply({"params": params}, {"z": z, "s": s}))


@register
class Generator(Backbone):
    """``a = clip(f(s, z), -1, 1)``, z ~ N(0, I): one network call per sample, without a density.

    The clip has the gradient of the identity (straight-through).
    """

    name = "generator"
    paper: ClassVar[str] = "arXiv:1406.2661"
    provides = frozenset({"reparameterized"})

    noise: int = Field(16, ge=1, description="dimension of the noise z")

    def module(self, ctx: Context) -> Build:
        inputs = (("z", self.noise), ("s", ctx.sizes.obs))
        return network(ctx, f"{ctx.owner}_net", inputs, ctx.sizes.action)

    def init(self, ctx: Context, key: Value) -> Value:
        example = {"z": call("jnp.zeros", (1, self.noise)), "s": call("jnp.zeros", (1, ctx.sizes.obs))}
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), example), (key,), TREE, ctx.owner)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        expr = call(generate, self.module(ctx), Arg(0), Arg(1), Arg(2), noise=self.noise, particles=particles)
        return Sampled(
            ctx.builder.add("Sample", expr, (params, s, ctx.draw_key(name)), Type(ctx.drawn_axes(s, particles)), name)
        )
