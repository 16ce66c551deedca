"""Action values conditioned on the noise level of the action."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Embedding, Future
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.components.ensembles import (
    Ensemble,
    ensemble_loss,
    mean_value_at_level,
    values_at_level,
    with_embedded_level,
)
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Expr, build, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jax
from flowrl_dsl.registry import option, register


@kernel
def noisier_level(key, s, levels):
    """A random level 0, 1/(L-1), ... except the last, for each observation."""
    return jax.random.randint(key, s.shape[:-1], 0, levels - 1) / (levels - 1)


@kernel
def blurred(a, noise, level, low, high):
    """a + sigma_l noise, sigma falling geometrically from high (level 0) to low (level 1)."""
    return a + (low * (high / low) ** (1 - level))[..., None] * noise


@register
class NoiseConditioned(Ensemble):
    """``Q_e(s, a, l)`` at L noise levels, sigma falling geometrically from ``high`` to ``low``; ``Q_e(s, a)`` is the last.

    The temporal-difference loss fits the last level.  The others are for ``improve value_denoising``, which fits level l to
    the values blurred by its noise.  The networks read features of the level's index, 0 for the first level.
    """

    name = "noise_conditioned"
    paper: ClassVar[str] = "arXiv:2602.07873"
    provides = frozenset({"q_value", "energy", "noise_levels"})
    heads: ClassVar[int] = 1

    levels: int = Field(10, ge=2, description="number of noise levels L")
    low: float = Field(0.001, gt=0, description="standard deviation of the noise at the last level")
    high: float = Field(0.1, gt=0, description="standard deviation of the noise at the first level")

    index: Embedding = option("features of the level's index", "positional(16, hidden = 16, fastest = 1, inner = 32)")

    _ordered = ordered_ends("low", "high")

    def inputs(self, ctx: Context) -> tuple[tuple[str, int], ...]:
        return (*super().inputs(ctx), ("level", 1))

    def module(self, ctx: Context) -> Build:
        inputs = (*super().inputs(ctx), ("level", self.index.hidden))
        trunk = network(ctx, f"{ctx.owner}_trunk", inputs, self.heads)
        embedding = self.index.module(f"{ctx.owner}_level")
        return build(f"{ctx.owner}_net", with_embedded_level, trunk=trunk, embedding=embedding, scale=self.levels - 1)

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Q_e(s, a, L): [ensemble, ...] over the axes of s and a."""
        lead, inputs = leading(s, a), [params, s, a]
        args = (self.module(ctx), Arg(0), rows(1, s, lead), rows(2, a, lead), 1.0)
        expr = call(values_at_level, *args, **ctx.dropout(ctx.own.network, inputs))
        return ctx.builder.add("QValue", expr, inputs, Type(union(("ensemble",), lead)), "q")

    def energy(self, ctx: Context, params: Expr, s: Expr) -> Expr:
        return call(mean_value_at_level, self.module(ctx), params, s)

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        q = self.value(ctx.in_training(), params, s, a)
        ctx.metric("q", q)
        expr = call(ensemble_loss, Arg(0), Arg(1), reduction=reduction)
        return ctx.builder.add("Loss", expr, (q, y), SCALAR, "loss"), {}

    def denoising_loss(self, ctx: Context, params: Value, before: Value, s: Value, a: Value) -> Value:
        """``mean_e mean_B (Q_e(s, a + sigma_l noise, l) - mean_e Q'_e(s, a, L))^2`` at a random level l < L: [].

        Q' has the parameters ``before``.
        """
        b = ctx.builder
        clean = b.reduce("jnp.mean", self.value(ctx, before, s, a), ("ensemble",), "clean_value")
        draw = call(noisier_level, Arg(0), Arg(1), levels=self.levels)
        level = b.add("Noise", draw, (ctx.draw_key("level"), s), Type(leading(s)), "level")
        noise = ctx.normal(s, ctx.sizes.action, "noise")
        noisy = b.add(
            "Diffuse", call(blurred, *map(Arg, range(3)), low=self.low, high=self.high), (a, noise, level), a.type, "a_l"
        )
        inputs = [params, s, noisy, level]
        dropout = ctx.in_training().dropout(ctx.own.network, inputs)
        at_level = call(values_at_level, self.module(ctx), *map(Arg, range(4)), **dropout)
        q = b.add("QValue", at_level, inputs, Type(("ensemble", "batch")), "q_l")
        expr = call(ensemble_loss, Arg(0), Arg(1), reduction="mean")
        return b.add("Loss", expr, (q, b.stop(clean, "fixed_value")), SCALAR, "loss")
