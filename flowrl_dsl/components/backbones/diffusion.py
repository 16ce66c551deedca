"""Variance-preserving diffusion with noise prediction, in continuous time or at the levels of a discrete schedule."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.axes import without
from flowrl_dsl.components.base import Embedding, NoiseSchedule, Sampled, Widths
from flowrl_dsl.components.context import Context, leading
from flowrl_dsl.components.denoising import Denoising, action_noise, guided_noise, numbers_of, step_starts
from flowrl_dsl.components.denoising_steps import kl_weights, random_step
from flowrl_dsl.components.noisy import Noised, Step
from flowrl_dsl.graph.builder import Value, aligned
from flowrl_dsl.graph.expr import Arg, Call, Expr, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
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
        alpha = self._alpha(ctx, t, "alpha")
        sigma = ctx.builder.add("NoiseSchedule", call(sigma_of, Arg(0)), (alpha,), t.type, "sigma")
        return self._noised(ctx, a, noise, alpha, sigma, t)

    def _alpha(self, ctx: Context, t: Value, name: str) -> Value:
        rate = self.schedule.alpha()
        return ctx.builder.add("NoiseSchedule", call(rate.function, Arg(0), **dict(rate.kwargs)), (t,), t.type, name)

    def denoising_step(self, ctx: Context, params: Value, s: Value, a: Value, count: int) -> Step:
        """By the policy's sampler: one call of the network for all draws of a step."""
        b, (times, _) = ctx.builder, self.grid(ctx)
        ends = b.add("Noise", call(random_step, Arg(0), Arg(1), times), (ctx.draw_key("step"), a), TREE, "step")
        t, t_less, last = (b.item(ends, i, Type(leading(a)), name) for i, name in enumerate(("t", "t_less", "last")))
        noise = b.add("Noise", call(action_noise, Arg(0), Arg(1)), (ctx.draw_key("noise"), a), a.type, "noise")
        noised = self.noised_at(ctx, a, noise, t)
        eps = self.predict(ctx, params, s, noised.a_t, t)
        alpha_less = self._alpha(ctx, t_less, "alpha_less")
        draws = ctx.normal(s, ctx.sizes.action, "step_noise", count)
        inputs = [noised.a_t, eps, noised.alpha, alpha_less, last, draws]
        lead = without(draws.axes, "action")
        given = [aligned(i, value.axes, draws.axes if i < 2 else lead) for i, value in enumerate(inputs[:5])]
        options = dict(ctx.own.sampler.constants())
        for name, number in numbers_of(ctx, ctx.own.sampler).items():
            options[name] = Arg(len(inputs))
            inputs.append(number)
        expr = call(ctx.own.sampler.single, *given, Arg(5), **options)
        a_less = b.add("Arithmetic", expr, inputs, draws.type, "a_less")
        weight = b.elementwise("kl_weight", noised.alpha, alpha_less, name="kl_weight")
        return Step(noised, a_less, t_less, last, weight)

    def draw_steps(self, ctx: Context, params: Value, s: Value, name: str, particles: int) -> Sampled:
        prior = ctx.normal(s, ctx.sizes.action, f"{name}_prior", particles)
        return self._sampled(ctx, params, s, prior, name, kept=ctx.own.sampler.kept)

    def step_rates(self, ctx: Context) -> dict[str, Value]:
        times, alpha = self.grid(ctx)
        found = {"chain_t": call(step_starts, times), "kl_weight": call(kl_weights, alpha, times)}
        return {name: ctx.builder.add("Constant", expr, (), Type(("denoise",)), name) for name, expr in found.items()}

    def guided_field(self, field: Call, values: Expr, scale: Expr) -> Call:
        return call(guided_noise, field, values, scale, self.schedule.alpha())

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return self.schedule.times(ctx.own.sampler.steps), self.schedule.alpha()
