"""A Gaussian with a state-independent standard deviation."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Backbone, Sampled
from flowrl_dsl.components.common import weighted_likelihood
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Scalar, register


@kernel
def init_gaussian(net, key, example, size, std):
    """Parameters of the mean's network, and a log standard deviation for each component of the action."""
    return {"mean": net.init(key, example)["params"], "log_std": jnp.full((size,), jnp.log(std))}


@kernel
def bounded_log_std(params, low, high):
    """The parameters with the log standard deviation between two bounds, beyond which it has no gradient."""
    return params | {"log_std": jnp.clip(params["log_std"], low, high)}


@kernel
def gaussian_mean(net, params, s, squash, key=None):
    """The network's output, squashed by tanh if the mean is to stay within the action bounds.  A key turns dropout on."""
    dropout = {} if key is None else {"rngs": {"dropout": key}}
    mean = net.apply({"params": params["mean"]}, {"s": s}, **dropout)
    return jnp.tanh(mean) if squash else mean


@kernel
def gaussian_log_density(a, mean, params):
    """log N(a; mean, std^2), summed over the components of the action."""
    log_std = params["log_std"]
    return jnp.sum(-0.5 * jnp.square((a - mean) * jnp.exp(-log_std)) - log_std - 0.5 * jnp.log(2 * jnp.pi), axis=-1)


@kernel
def gaussian_draw(mean, params, noise, clip=True):
    """u = mean + std noise, and its log density; with ``clip``, u is clipped to [-1, 1] and keeps its gradient."""
    u = mean + jnp.exp(params["log_std"]) * noise
    if not clip:
        return u, gaussian_log_density(u, mean, params)
    clipped = jax.lax.stop_gradient(jnp.clip(u, -1.0, 1.0)) + (u - jax.lax.stop_gradient(u))
    return clipped, gaussian_log_density(u, mean, params)


@kernel
def gaussian_entropy(s, params):
    """sum_i (log std_i + log(2 pi e) / 2) for each observation."""
    entropy = jnp.sum(params["log_std"] + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
    return jnp.broadcast_to(entropy, s.shape[:-1])


@register
class Gaussian(Backbone):
    """``a = clip(mean(s) + std noise, -1, 1)``, std a trained parameter per action component, independent of the state.

    ``log pi(a|s) = sum_i log N(a_i; mean_i, std_i^2)``: the density of the unclipped Gaussian, and for samples the density
    before the clip.  The clip has the gradient of the identity (straight-through); there is none with ``clip = false``.
    The mean is ``tanh(f(s))``, or ``f(s)`` without ``squash``; the initial value of std is ``std``.  log std is used as
    clipped to [log_std_min, log_std_max], where these are given.
    """

    name = "gaussian"
    paper: ClassVar[str] = "arXiv:1707.06347"
    provides = frozenset({"log_prob", "draw_log_prob", "mode", "reparameterized", "imitation", "entropy_of_state"})

    std: float = Field(1.0, gt=0, description="initial standard deviation")
    squash: bool = Field(True, description="whether tanh bounds the mean to [-1, 1]")
    clip: bool = Field(True, description="whether actions are clipped to [-1, 1] as they are drawn")
    log_std_min: float | None = Field(None, description="smallest log standard deviation; none for no bound")
    log_std_max: float | None = Field(None, description="largest log standard deviation; none for no bound")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Gaussian:
        bounds = self.log_std_min, self.log_std_max
        if None not in bounds and self.log_std_max <= self.log_std_min:  # type: ignore[operator]
            raise ValueError("log_std_max must be greater than log_std_min")
        return self

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", (("s", ctx.sizes.obs),), ctx.sizes.action)

    def init(self, ctx: Context, key: Value) -> Value:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs))}
        expr = call(init_gaussian, self.module(ctx), Arg(0), example, size=ctx.sizes.action, std=self.std)
        return ctx.builder.add("Init", expr, (key,), TREE, ctx.owner)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        noise = ctx.normal(s, ctx.sizes.action, f"{name}_noise", particles)
        params = self._bounded(ctx, params)
        lead = leading(s, noise)
        axes = union(lead, ("action",))
        mean = self._mean(ctx, params, s, f"{name}_mean")
        expr = call(gaussian_draw, rows(0, mean, lead), Arg(1), Arg(2), **({} if self.clip else {"clip": False}))
        drawn = ctx.builder.add("Sample", expr, (mean, params, noise), TREE, f"{name}_draw")
        action = ctx.builder.item(drawn, 0, Type(axes), name)
        return Sampled(action, ctx.builder.item(drawn, 1, Type(lead), f"{name}_log_prob"))

    def log_prob(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        lead, params = leading(s, a), self._bounded(ctx, params)
        mean = self._mean(ctx, params, s, "density_mean")
        expr = call(gaussian_log_density, rows(0, a, lead), rows(1, mean, lead), Arg(2))
        return ctx.builder.add("LogProb", expr, (a, mean, params), Type(lead), "log_prob")

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """Weighted maximum likelihood."""
        return weighted_likelihood(ctx, self.log_prob(ctx, params, s, a), weight)

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """The mean, clipped to [-1, 1]; as it is without ``clip``."""
        mean = self._mean(ctx, params, s, f"{name}_mean")
        if not self.clip:
            return mean
        return ctx.builder.add("Select", call("jnp.clip", Arg(0), -1.0, 1.0), (mean,), mean.type, name)

    def entropy(self, ctx: Context, params: Value, s: Value) -> Value:
        expr = call(gaussian_entropy, Arg(0), Arg(1))
        return ctx.builder.add("LogProb", expr, (s, self._bounded(ctx, params)), Type(leading(s)), "entropy")

    def _bounded(self, ctx: Context, params: Value) -> Value:
        """The parameters with the log standard deviation within its bounds; themselves where there are none."""
        low, high = self.log_std_min, self.log_std_max
        if low is None and high is None:
            return params
        return ctx.builder.add("Arithmetic", call(bounded_log_std, Arg(0), low, high), (params,), TREE, "bounded")

    def _mean(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        inputs = [params, s]
        dropout = ctx.dropout(ctx.own.network, inputs)
        expr = call(gaussian_mean, self.module(ctx), Arg(0), Arg(1), squash=self.squash, **dropout)
        return ctx.builder.add("Predict", expr, inputs, Type(union(leading(s), ("action",))), name)
