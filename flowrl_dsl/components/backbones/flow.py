"""Straight-line flow with velocity prediction."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Embedding, Widths
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.denoising import Denoising, time_grid, uniform_time
from flowrl_dsl.components.noisy import Noised
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Expr, call, kernel
from flowrl_dsl.registry import option, register


@kernel
def remaining(t):
    """sigma = 1 - t"""
    return 1 - t


@kernel
def noise_of_velocity(a_t, v, t):
    """noise = a_t - t v, since a_t = (1 - t) noise + t a and v = a - noise."""
    return a_t - t * v


@register
class Flow(Denoising):
    """Flow policy: ``a_t = (1 - t) noise + t a``, a network predicts the velocity ``a - noise``.

    Time runs from noise (0) to action (1); in formulas ``alpha = t`` and ``sigma = 1 - t``, and the noise prediction is
    ``eps = a_t - t v``.  Training draws t uniformly from [t_min, t_max].  The sampler follows the velocity from 0 to 1.
    """

    name = "flow"
    paper: ClassVar[str] = "arXiv:2210.02747"
    provides = frozenset({"noise_process", "noise_prediction", "flow_field", "reparameterized", "imitation"})
    requires = frozenset({"flow_sampler"})

    time: Embedding = option("features of the time", "fourier(64)")
    obs: Widths = Field((128, 128), description="layers of the observation embedding; [] for none")
    t_min: float = Field(1e-3, gt=0, lt=1, description="smallest time in training; below it a_t is almost pure noise")
    t_max: float = Field(0.999, gt=0, lt=1, description="largest time in training; above it a_t contains almost no noise")

    _ordered = ordered_ends("t_min", "t_max")

    def velocity(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """v(a_t, t, s)."""
        return self.raw(ctx, params, s, a_t, t, "velocity")

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """eps = a_t - t v."""
        v = self.velocity(ctx, params, s, a_t, t)
        return ctx.builder.elementwise("noise_of_velocity", a_t, v, t, name="eps", op="Predict")

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """Times uniform in [t_min, t_max]."""
        return self._time(ctx, a, call(uniform_time, Arg(0), Arg(1), times=(self.t_min, self.t_max)))

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """Interpolations a_t between noise and actions."""
        sigma = ctx.builder.add("NoiseSchedule", call(remaining, Arg(0)), (t,), t.type, "sigma")
        return self._noised(ctx, a, noise, t, sigma, t)

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """The velocity, and a - noise."""
        straight = ctx.builder.elementwise("jnp.subtract", a, noised.noise, name="straight")
        return self.velocity(ctx, params, s, noised.a_t, noised.t), straight

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return (call(time_grid, 0.0, 1.0, steps=ctx.own.sampler.steps),)
