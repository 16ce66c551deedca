"""Consistency policy: a denoiser that is the identity at the smallest noise level and draws an action in one call."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.backbones.edm import edm_input, edm_time
from flowrl_dsl.components.base import Embedding, Widths
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.denoising import Denoising, time_grid
from flowrl_dsl.components.noisy import Noised
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Call, Expr, call, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def karras_level(key, a, sigma_min, sigma_max, rho, levels):
    """A noise level for each action: one of ``levels`` from sigma_max down to sigma_min, evenly spaced in sigma^(1/rho).

    The lowest, at which nothing is left to learn, is not drawn.
    """
    k = jax.random.randint(key, a.shape[:-1], 0, levels - 1)
    most, least = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (most + k / (levels - 1) * (least - most)) ** rho


@kernel
def consistent_action(a_t, f, sigma, sigma_min, sigma_data):
    """D = c_skip a_t + c_out f; c_skip = 1 and c_out = 0 at sigma_min, so that D is a_t there whatever f is."""
    c_skip = sigma_data**2 / ((sigma - sigma_min) ** 2 + sigma_data**2)
    c_out = (sigma - sigma_min) * sigma_data / jnp.sqrt(sigma**2 + sigma_data**2)
    return c_skip * a_t + c_out * f


@kernel
def removed_noise(a_t, clean, sigma):
    """eps = (a_t - D) / sigma"""
    return (a_t - clean) / sigma


@kernel
def by_level(x, sigma, sigma_data):
    """sqrt(w) x, w = 1 / sigma^2 + 1 / sigma_data^2: the difference of two such values has the weight w in its square."""
    return x * jnp.sqrt(1 / sigma**2 + 1 / sigma_data**2)


@kernel
def bounded_by_level(x, sigma, sigma_data, bound):
    """sqrt(w) x of x within [-bound, bound]."""
    return by_level(jnp.clip(x, -bound, bound), sigma, sigma_data)


@kernel
def consistency_direction(network, sigma_min, sigma_data):
    """(z - D(sigma z, sigma)) / sigma: what a step of length sigma takes from noise z of unit size to D."""

    def direction(z, t):
        a_t = t * z
        f = network(edm_input(a_t, t, sigma_data), edm_time(t))
        return (z - consistent_action(a_t, f, t, sigma_min, sigma_data)) / t

    return direction


@register
class Consistency(Denoising):
    """Policy by a consistency model: ``a_t = a + sigma noise``, and the action of noise z is ``D(sigma_max z, sigma_max)``.

    ``D = c_skip a_t + c_out F(c_in a_t, log(sigma)/4, s)`` with ``c_skip = sigma_data^2 / ((sigma - sigma_min)^2 +
    sigma_data^2)``, ``c_out = (sigma - sigma_min) sigma_data c_in`` and ``c_in = 1/sqrt(sigma^2 + sigma_data^2)``, so that
    D(a, sigma_min) = a.  In formulas ``t = sigma``, ``alpha = 1`` and ``eps = (a_t - D)/sigma``.  Imitation reconstructs the
    action: ``w mean_A (D - a)^2`` with ``w = 1/sigma^2 + 1/sigma_data^2``, at random ones of ``levels`` noise levels, the
    spacing of which is even in ``sigma^(1/rho)``; with a ``bound``, D is clipped to [-bound, bound] there.
    """

    name = "consistency"
    paper: ClassVar[str] = "arXiv:2310.06343"
    provides = frozenset({"noise_process", "noise_prediction", "reparameterized", "imitation"})
    requires = frozenset({"one_step_sampler"})

    time: Embedding = option("features of log(sigma)/4", "fourier(64)")
    obs: Widths = Field((128, 128), description="layers of the observation embedding; [] for none")
    sigma_min: float = Field(0.002, gt=0, description="noise level at which D is the identity")
    sigma_max: float = Field(80.0, gt=0, description="noise level from which actions are drawn")
    sigma_data: float = Field(0.5, gt=0, description="standard deviation of the actions; 0.58 if uniform on [-1, 1]")
    rho: float = Field(7.0, ge=1, description="density of levels at low noise; 1 for even spacing")
    levels: int = Field(40, ge=2, description="number of noise levels in training")
    bound: Scalar | None = option("bound on D in the regression; none for unbounded", "1.0", POSITIVE)

    _ordered = ordered_ends("sigma_min", "sigma_max")

    def idle(self, at: Position) -> dict[str, str]:
        return {} if self._is_fitted(at) else {"bound": f"no regression fits the {at.owner}"}

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """eps(a_t, t, s)."""
        clean = self._clean(ctx, params, s, a_t, t)
        return ctx.builder.elementwise("removed_noise", a_t, clean, t, name="eps", op="Predict")

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """Random noise levels."""
        ends = {"sigma_min": self.sigma_min, "sigma_max": self.sigma_max, "rho": self.rho, "levels": self.levels}
        return self._time(ctx, a, call(karras_level, Arg(0), Arg(1), **ends))

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """a_t = a + sigma noise, with sigma = t."""
        alpha = ctx.builder.add("NoiseSchedule", call("jnp.ones_like", Arg(0)), (t,), t.type, "alpha")
        return self._noised(ctx, a, noise, alpha, t, t)

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """sqrt(w) D and sqrt(w) a, w the weight of the level."""
        b, level = ctx.builder, (noised.sigma, self._sigma_data(ctx))
        clean = self._clean(ctx, params, s, noised.a_t, noised.sigma)
        truth = b.elementwise("by_level", a, *level, name="level_truth")
        if self.bound is None:
            return b.elementwise("by_level", clean, *level, name="level_said", op="Predict"), truth
        inputs = (clean, *level, ctx.scalar(self.bound))
        return b.elementwise("bounded_by_level", *inputs, name="level_said", op="Predict"), truth

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return (call(time_grid, self.sigma_max, 0.0, steps=ctx.own.sampler.steps),)

    def field(self, network: Call) -> Call:
        return call(consistency_direction, network, sigma_min=self.sigma_min, sigma_data=self.sigma_data)

    def _clean(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """D(a_t, t, s), not clipped."""
        b, data = ctx.builder, self._sigma_data(ctx)
        scaled = b.elementwise("edm_input", a_t, t, data, name="scaled")
        f = self.raw(ctx, params, s, scaled, b.elementwise("edm_time", t, name="c_noise"), "network")
        least = b.constant(self.sigma_min, "sigma_min")
        return b.elementwise("consistent_action", a_t, f, t, least, data, name="clean", op="Predict")

    def _sigma_data(self, ctx: Context) -> Value:
        return ctx.builder.constant(self.sigma_data, "sigma_data")
