"""A one-step generator: a network that maps noise to an action."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.context import Context, gaussian_noise, init_params, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.components.random_numbers import zero_noise
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@kernel
def straight_through_clip(x):
    """x clipped to [-1, 1]; its gradient is that of x, so clipped actions still receive gradients."""
    return jax.lax.stop_gradient(jnp.clip(x, -1.0, 1.0)) + (x - jax.lax.stop_gradient(x))


@kernel
def generated(net, params, s, z):
    """f(s, z), not clipped: [..., action]."""
    return net.apply({"params": params}, {"z": z, "s": s})


@kernel
def generated_without_noise(net, params, s, noise):
    """f(s, 0) clipped to [-1, 1], the zero noise of dimension ``noise``: [..., action]."""
    return jnp.clip(generated(net, params, s, zero_noise(s, noise)), -1.0, 1.0)


@kernel(quick="quick")
def generate(net, params, s, key, noise, particles=None, hard=False, quick=False):
    """f(s, z) clipped, z ~ N(0, I) of dimension ``noise``: [..., action], or [..., particles, action]."""
    z = gaussian_noise(key, s, noise, particles, quick)
    a = generated(net, params, s if particles is None else s[..., None, :], z)
    return jnp.clip(a, -1.0, 1.0) if hard else straight_through_clip(a)


@register
class Generator(Backbone):
    """``a = clip(f(s, z), -1, 1)``, z ~ N(0, I): one network call per sample, without a density.

    A ``straight_through`` clip has the gradient of the identity, a ``hard`` one none where f leaves [-1, 1].  With
    ``noise = none`` z has the dimension of an action, and f can learn from another policy what it makes of the same noise
    (``distillation``).
    """

    name = "generator"
    paper: ClassVar[str] = "arXiv:1406.2661"
    provides = frozenset({"reparameterized", "zero_noise"})

    noise: int | None = Field(16, ge=1, description="dimension of the noise z; none for that of an action")
    clip: Literal["straight_through", "hard"] = Field("straight_through", description="gradient of the clip")

    def capabilities(self) -> frozenset[str]:
        return self.provides | (frozenset({"noise_map"}) if self.noise is None else frozenset())

    def module(self, ctx: Context) -> Build:
        inputs = (("z", self._dimension(ctx)), ("s", ctx.sizes.obs))
        return network(ctx, f"{ctx.owner}_net", inputs, ctx.sizes.action)

    def init(self, ctx: Context, key: Value) -> Value:
        example = {"z": call("jnp.zeros", (1, self._dimension(ctx))), "s": call("jnp.zeros", (1, ctx.sizes.obs))}
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), example), (key,), TREE, ctx.owner)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        hard = {"hard": True} if self.clip == "hard" else {}
        options = {"noise": self._dimension(ctx), "particles": particles, **hard}
        expr = call(generate, self.module(ctx), Arg(0), Arg(1), Arg(2), **options)
        return Sampled(
            ctx.builder.add("Sample", expr, (params, s, ctx.draw_key(name)), Type(ctx.drawn_axes(s, particles)), name)
        )

    def mapped(self, ctx: Context, params: Value, s: Value, z: Value, name: str) -> Value:
        """f(s, z), not clipped."""
        expr = call(generated, self.module(ctx), Arg(0), rows(1, s, leading(s, z)), Arg(2))
        return ctx.builder.add("Sample", expr, (params, s, z), z.type, name)

    def noiseless(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """f(s, 0) clipped to [-1, 1]."""
        expr = call(generated_without_noise, self.module(ctx), Arg(0), Arg(1), noise=self._dimension(ctx))
        return ctx.builder.add("Sample", expr, (params, s), Type(ctx.drawn_axes(s, None)), name)

    def _dimension(self, ctx: Context) -> int:
        return ctx.sizes.action if self.noise is None else self.noise
