"""Mean flow: one network call goes from noise to action, trained by the identity of average velocities."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import Embedding, Widths
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.denoising import Denoising, time_grid, uniform_time
from flowrl_dsl.components.noisy import Noised
from flowrl_dsl.graph.builder import Value, aligned
from flowrl_dsl.graph.expr import Arg, Call, Expr, call, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def kept_of_action(t):
    """alpha = 1 - t"""
    return 1 - t


@kernel
def mean_velocity(network):
    """The average velocity u(z, t) = z - g(z, t) of the way from z at time t to its action, times t at t = 1."""
    return lambda z, t: z - network(z, t)


@kernel
def mean_flow_target(net, params, a_t, t, s, a, noise, bound):
    """a_t + (t - 1) v - t dg/dt within [-bound, bound], v = noise - a, dg/dt the derivative of g along (v, 1): one jvp."""
    v = noise - a

    def g(a_t, t):
        return net.apply({"params": params}, a_t, t, s)

    _, slope = jax.jvp(g, (a_t, t), (v, jnp.ones_like(t)))
    return jnp.clip(a_t + (t[..., None] - 1) * v - t[..., None] * slope, -bound, bound)


@register
class MeanFlow(Denoising):
    """Policy by average velocities: ``a_t = (1 - t) a + t noise``, and the action of noise z is ``g(z, 1, s)``: one call.

    ``u(a_t, t) = a_t - g(a_t, t, s)`` is the average velocity between times 0 and t of the flow that carries actions (0) to
    noise (1), whose velocity at a_t is on average ``v = noise - a``.  By the definition of the average, ``u = v - t du/dt``
    along the flow, so that g regresses to the constant ``clip(a_t + (t - 1) v - t dg/dt, -bound, bound)``, at times drawn
    uniformly from [0, 1].  The derivative along (v, 1) is one jvp through the network and the features of the time: steep
    features make it large, hence the time itself by default.
    """

    name = "mean_flow"
    paper: ClassVar[str] = "arXiv:2511.13035"
    provides = frozenset({"noise_process", "reparameterized", "imitation"})
    requires = frozenset({"one_step_sampler"})

    time: Embedding = option("features of the time", "raw")
    obs: Widths = Field((), description="layers of the observation embedding; [] for none")
    bound: Scalar = option("bound on the regression target", "5.0", POSITIVE)

    def idle(self, at: Position) -> dict[str, str]:
        return {} if self._is_fitted(at) else {"bound": f"no regression fits the {at.owner}"}

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """Times uniform in [0, 1]."""
        return self._time(ctx, a, call(uniform_time, Arg(0), Arg(1), times=(0.0, 1.0)))

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """Interpolations a_t between actions and noise."""
        alpha = ctx.builder.add("NoiseSchedule", call(kept_of_action, Arg(0)), (t,), t.type, "alpha")
        return self._noised(ctx, a, noise, alpha, t, t)

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """g, and its target, a constant."""
        return self.raw(ctx, params, s, noised.a_t, noised.t, "g"), self._target(ctx, params, s, a, noised)

    def _target(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> Value:
        """The target of g without dropout, so that its derivative is that of a single function."""
        b, lead = ctx.builder, leading(s, noised.a_t)
        inputs = [b.stop(params, "fixed_params"), s, noised.a_t, noised.t, a, noised.noise, ctx.scalar(self.bound)]
        one = aligned(4, a.axes, noised.noise.axes)
        args = (self.module(ctx), Arg(0), Arg(2), Arg(3), rows(1, s, lead), one, Arg(5), Arg(6))
        return b.stop(b.add("Predict", call(mean_flow_target, *args), inputs, noised.a_t.type, "mean_target"), "g_target")

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return (call(time_grid, 1.0, 0.0, steps=ctx.own.sampler.steps),)

    def field(self, network: Call) -> Call:
        return call(mean_velocity, network)
