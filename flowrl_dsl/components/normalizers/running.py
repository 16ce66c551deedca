"""Running mean and variance of observations."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Normalizer
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def moments_init(size):
    """Moments before any observation: normalising with them only clips."""
    return {"count": jnp.zeros(()), "mean": jnp.zeros(size), "squares": jnp.zeros(size)}


@kernel
def moments_update(moments, s):
    """Merge the mean and the summed squared deviations of a batch into the running ones (Chan et al., 1979)."""
    count, n = moments["count"], s.shape[0]
    mean = jnp.mean(s, axis=0)
    delta, total = mean - moments["mean"], count + n
    squares = moments["squares"] + jnp.sum(jnp.square(s - mean), axis=0) + jnp.square(delta) * count * n / total
    return {"count": total, "mean": moments["mean"] + delta * n / total, "squares": squares}


@kernel
def normalize(s, moments, clip, eps):
    """(s - mean) / sqrt(var + eps), clipped; variance 1 before any observation."""
    seen = jnp.maximum(moments["count"], 1.0)
    var = jnp.where(moments["count"] > 0, moments["squares"] / seen, 1.0)
    return jnp.clip((s - moments["mean"]) / jnp.sqrt(var + eps), -clip, clip)


@register
class Running(Normalizer):
    """``s <- clip((s - mean) / sqrt(var + eps), -bound, bound)``; the moments are updated by every batch."""

    name = "running"

    clip: float = Field(10.0, gt=0, description="bound on normalised observations")
    eps: float = Field(1e-8, gt=0, description="added to the variance")

    def init(self, ctx: Context) -> Value:
        return ctx.builder.add("Init", call(moments_init, ctx.sizes.obs), (), TREE, "normalizer")

    def update(self, ctx: Context, moments: Value, s: Value) -> Value:
        return ctx.builder.add("Moments", call(moments_update, Arg(0), Arg(1)), (moments, s), TREE, "moments")

    def apply(self, ctx: Context, moments: Value, s: Value, name: str) -> Value:
        expr = call(normalize, Arg(0), Arg(1), clip=self.clip, eps=self.eps)
        return ctx.builder.add("Normalize", expr, (s, moments), s.type, name)
