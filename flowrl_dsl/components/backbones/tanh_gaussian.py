"""A Gaussian squashed by tanh, with state-dependent standard deviation."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.common import ordered_ends, weighted_likelihood
from flowrl_dsl.components.context import Context, init_params, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Scalar, register


@kernel
def gaussian_head(net, params, s, low, high, key=None):
    """Mean and log standard deviation of the Gaussian before the tanh; log std is squashed into [low, high].

    With a key it uses dropout.
    """
    dropout = {} if key is None else {"rngs": {"dropout": key}}
    mean, raw = jnp.split(net.apply({"params": params}, {"s": s}, **dropout), 2, axis=-1)
    return mean, low + (high - low) * jax.nn.sigmoid(2 * raw)


@kernel
def tanh_gaussian_log_prob(u, mean, log_std):
    """log density of a = tanh(u), u ~ N(mean, std^2), summed over the action's components.

    log(1 - tanh(u)^2) is written 2 (log 2 - u - softplus(-2u)), which is accurate for large u.
    """
    normal = -0.5 * jnp.square((u - mean) * jnp.exp(-log_std)) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    squash = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
    return jnp.sum(normal - squash, axis=-1)


@kernel
def tanh_gaussian_draw(head, noise):
    """a = tanh(mean + std noise) and its log density."""
    mean, log_std = head
    u = mean + jnp.exp(log_std) * noise
    return jnp.tanh(u), tanh_gaussian_log_prob(u, mean, log_std)


@kernel
def tanh_gaussian_density(head, a):
    """log density of given actions; clipped to 1e-6 within [-1, 1], as it is infinite at the ends."""
    mean, log_std = head
    u = jnp.arctanh(jnp.clip(a, -1 + 1e-6, 1 - 1e-6))
    return tanh_gaussian_log_prob(u, mean, log_std)


@register
class TanhGaussian(Backbone):
    """``a = tanh(mean(s) + std(s) noise)``; log std is squashed smoothly into [log_std_min, log_std_max].

    ``log pi(a|s) = sum_i log N(u_i; mean_i, std_i^2) - log(1 - tanh(u_i)^2)``, u = atanh(a).
    """

    name = "tanh_gaussian"
    paper: ClassVar[str] = "arXiv:1801.01290"
    provides = frozenset({"log_prob", "draw_log_prob", "mode", "reparameterized", "imitation"})

    log_std_min: float = Field(-5.0, description="lower bound of log std")
    log_std_max: float = Field(2.0, description="upper bound of log std")

    _ordered = ordered_ends("log_std_min", "log_std_max")

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", (("s", ctx.sizes.obs),), 2 * ctx.sizes.action)

    def init(self, ctx: Context, key: Value) -> Value:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs))}
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), example), (key,), TREE, ctx.owner)

    def _head(self, ctx: Context, params: Value, s: Value, lead: tuple[str, ...], name: str) -> Value:
        bounds = {"low": self.log_std_min, "high": self.log_std_max}
        inputs = [params, s]
        dropout = ctx.dropout(ctx.own.network, inputs)
        expr = call(gaussian_head, self.module(ctx), Arg(0), rows(1, s, lead), **bounds, **dropout)
        return ctx.builder.add("Predict", expr, inputs, TREE, f"{name}_distribution")

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        noise = ctx.normal(s, ctx.sizes.action, f"{name}_noise", particles)
        lead = leading(s, noise)
        head = self._head(ctx, params, s, lead, name)
        drawn = ctx.builder.add("Sample", call(tanh_gaussian_draw, Arg(0), Arg(1)), (head, noise), TREE, f"{name}_draw")
        action = ctx.builder.item(drawn, 0, Type(union(lead, ("action",))), name)
        return Sampled(action, ctx.builder.item(drawn, 1, Type(lead), f"{name}_log_prob"))

    def log_prob(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        lead = leading(s, a)
        head = self._head(ctx, params, s, lead, "density")
        expr = call(tanh_gaussian_density, Arg(0), rows(1, a, lead))
        return ctx.builder.add("LogProb", expr, (head, a), Type(lead), "log_prob")

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """Weighted maximum likelihood."""
        return weighted_likelihood(ctx, self.log_prob(ctx, params, s, a), weight)

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """tanh(mean)."""
        head = self._head(ctx, params, s, leading(s), name)
        mean = ctx.builder.item(head, 0, Type(union(leading(s), ("action",))), f"{name}_mean")
        return ctx.builder.elementwise("jnp.tanh", mean, name=name)
