"""Variance-preserving diffusion with noise prediction, in continuous time or at the levels of a discrete schedule."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Embedding, Noised, NoiseSchedule, Widths
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.denoising import Denoising, guided_noise
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Call, Expr, call, kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import option, register


@kernel
def sigma_of(alpha):
    """sigma = sqrt(1 - alpha^2)"""
    return jnp.sqrt(1 - alpha**2)


@register
class Diffusion(Denoising):
    """Variance-preserving diffusion policy: ``a_t = alpha_t a + sigma_t noise``, a network predicts the noise.

    The score of the noisy actions is ``-eps(a_t, t, s) / sigma_t``.  Actions are drawn by the policy's sampler.  The
    observation is embedded by layers ``obs``, the time by the component ``time``.
    """

    name = "diffusion"
    paper: ClassVar[str] = "arXiv:2011.13456"
    provides = frozenset({"noise_process", "noise_prediction", "reparameterized", "imitation", "guided_draws"})
    requires = frozenset({"diffusion_sampler"})

    schedule: NoiseSchedule = option("alpha_t and sigma_t", "cosine")
    time: Embedding = option("features of the diffusion time", "fourier(64)")
    obs: Widths = Field((128, 128), description="layers of the observation embedding; [] for none")

    def capabilities(self) -> frozenset[str]:
        return self.provides | self.schedule.capabilities()

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """eps(a_t, t, s)."""
        return self.raw(ctx, params, s, a_t, t, "eps")

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """Times of the schedule."""
        return self._time(ctx, a, self.schedule.draw())

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """a_t = alpha_t a + sigma_t noise."""
        b, rate = ctx.builder, self.schedule.alpha()
        alpha = b.add("NoiseSchedule", call(rate.function, Arg(0), **dict(rate.kwargs)), (t,), t.type, "alpha")
        sigma = b.add("NoiseSchedule", call(sigma_of, Arg(0)), (alpha,), t.type, "sigma")
        return self._noised(ctx, a, noise, alpha, sigma, t)

    def guided_field(self, field: Call, values: Expr, scale: Expr) -> Call:
        return call(guided_noise, field, values, scale, self.schedule.alpha())

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return self.schedule.times(ctx.own.sampler.steps), self.schedule.alpha()
