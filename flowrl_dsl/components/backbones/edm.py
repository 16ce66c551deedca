"""Variance-exploding diffusion with a preconditioned denoiser (EDM)."""

from __future__ import annotations

from math import log
from typing import ClassVar, Literal

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import Embedding, Widths
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.denoising import Denoising, guided_noise
from flowrl_dsl.components.noisy import Noised
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Call, Expr, call, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def log_normal_level(key, a, mean, std):
    """A noise level for each action: log sigma ~ N(mean, std^2)."""
    return jnp.exp(mean + std * jax.random.normal(key, a.shape[:-1]))


@kernel
def log_logistic_level(key, a, mean, std, low, high):
    """A noise level for each action: log sigma logistic with this mean and scale, sigma between low and high.

    By inversion: the logistic function of (log sigma - mean) / std is uniform between its values at the two ends.
    """
    ends = [jax.nn.sigmoid((jnp.log(end) - mean) / std) for end in (low, high)]
    u = jax.random.uniform(key, a.shape[:-1], minval=ends[0], maxval=ends[1])
    return jnp.clip(jnp.exp(mean + std * (jnp.log(u) - jnp.log1p(-u))), low, high)


@kernel
def edm_bounded(a_t, f, sigma, sigma_data, bound):
    """The network's output f, as if the denoised action D = c_skip a_t + c_out f had been clipped to [-bound, bound]."""
    square = sigma**2 + sigma_data**2
    skipped, c_out = sigma_data**2 / square * a_t, sigma * sigma_data / jnp.sqrt(square)
    return (jnp.clip(skipped + c_out * f, -bound, bound) - skipped) / c_out


@kernel
def edm_input(a_t, sigma, sigma_data):
    """c_in a_t = a_t / sqrt(sigma^2 + sigma_data^2): of unit variance at every noise level."""
    return a_t / jnp.sqrt(sigma**2 + sigma_data**2)


@kernel
def edm_time(sigma):
    """c_noise = log(sigma) / 4"""
    return jnp.log(sigma) / 4


@kernel
def edm_noise(a_t, f, sigma, sigma_data):
    """eps = (a_t - D)/sigma with D = c_skip a_t + c_out f, where the division by sigma cancels:

    eps = (sigma c_in a_t - sigma_data f) c_in
    """
    c_in = 1 / jnp.sqrt(sigma**2 + sigma_data**2)
    return (sigma * c_in * a_t - sigma_data * f) * c_in


@kernel
def edm_target(a, noise, sigma, sigma_data):
    """The target of f: (a - c_skip a_t)/c_out with a_t = a + sigma noise, where the division by sigma cancels:

    c_in (sigma a / sigma_data - sigma_data noise)
    """
    return (sigma * a / sigma_data - sigma_data * noise) / jnp.sqrt(sigma**2 + sigma_data**2)


@kernel
def edm_noise_given(network, sigma_data):
    """eps(a_t, sigma) of the preconditioned network f(c_in a_t, c_noise)."""

    def eps(a_t, t):
        return edm_noise(a_t, network(edm_input(a_t, t, sigma_data), edm_time(t)), t, sigma_data)

    return eps


@register
class EDM(Denoising):
    """Diffusion policy by noise levels: ``a_t = a + sigma noise``, with the denoiser ``D = c_skip a_t + c_out F``.

    ``F(c_in a_t, c_noise, s)`` is the network, ``c_skip = sigma_data^2 / (sigma^2 + sigma_data^2)``,
    ``c_out = sigma sigma_data c_in``, ``c_in = 1/sqrt(sigma^2 + sigma_data^2)``, ``c_noise = log(sigma)/4``.  In formulas
    ``t = sigma``, ``alpha = 1`` and ``eps = (a_t - D)/sigma``.  Regression compares F with ``(a - c_skip a_t)/c_out``, which
    weights all noise levels equally.  Training draws ``log sigma ~ N(p_mean, p_std^2)``, or with ``levels = logistic``
    from the logistic distribution of location log sigma_data and scale p_std, cut to [sigma_min, sigma_max].  With a
    ``bound``, D is clipped to [-bound, bound] in the regression, so that an error beyond it has no gradient.

    The sampler starts from ``sigma_max noise`` and follows ``da/dsigma = eps`` down to sigma_min, then ends at ``D``.
    sigma_max must lie within the noise levels seen in training: the paper's 80, chosen for images and long training, is 4.7
    p_std above p_mean, where the network extrapolates; at 4, too, the noise dominates the actions.
    """

    name = "edm"
    paper: ClassVar[str] = "arXiv:2206.00364"
    provides = frozenset({"noise_process", "noise_prediction", "reparameterized", "imitation", "guided_draws"})
    requires = frozenset({"edm_sampler"})

    time: Embedding = option("features of c_noise", "fourier(64)")
    obs: Widths = Field((128, 128), description="layers of the observation embedding; [] for none")
    sigma_min: float = Field(0.002, gt=0, description="smallest nonzero noise level of the sampler")
    sigma_max: float = Field(4.0, gt=0, description="initial noise level of the sampler")
    sigma_data: float = Field(0.5, gt=0, description="standard deviation of the actions; 0.58 if uniform on [-1, 1]")
    p_mean: float = Field(-1.2, description="mean of log sigma in training")
    p_std: float = Field(1.2, gt=0, description="standard deviation, or logistic scale, of log sigma in training")
    levels: Literal["normal", "logistic"] = Field("normal", description="distribution of log sigma in training")
    bound: Scalar | None = option("bound on the denoised action in the regression; none for unbounded", "none", POSITIVE)

    _ordered = ordered_ends("sigma_min", "sigma_max")

    def unread(self) -> dict[str, str]:
        return {"p_mean": "logistic levels are centred at log sigma_data"} if self.levels == "logistic" else {}

    def idle(self, at: Position) -> dict[str, str]:
        return {} if self._is_fitted(at) else {"bound": f"no regression fits the {at.owner}"}

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """eps(a_t, t, s)."""
        f = self._network(ctx, params, s, a_t, t)
        return ctx.builder.elementwise("edm_noise", a_t, f, t, self._sigma_data(ctx), name="eps", op="Predict")

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """Random noise levels."""
        draw = call(log_normal_level, Arg(0), Arg(1), mean=self.p_mean, std=self.p_std)
        if self.levels == "logistic":
            law = {"mean": log(self.sigma_data), "std": self.p_std, "low": self.sigma_min, "high": self.sigma_max}
            draw = call(log_logistic_level, Arg(0), Arg(1), **law)
        return self._time(ctx, a, draw)

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """a_t = a + sigma noise, with sigma = t."""
        alpha = ctx.builder.add("NoiseSchedule", call("jnp.ones_like", Arg(0)), (t,), t.type, "alpha")
        return self._noised(ctx, a, noise, alpha, t, t)

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """F, and (a - c_skip a_t)/c_out."""
        values = (a, noised.noise, noised.sigma, self._sigma_data(ctx))
        target = ctx.builder.elementwise("edm_target", *values, name="network_target")
        said = self._network(ctx, params, s, noised.a_t, noised.t)
        if self.bound is None:
            return said, target
        inputs = (noised.a_t, said, noised.sigma, self._sigma_data(ctx), ctx.scalar(self.bound))
        return ctx.builder.elementwise("edm_bounded", *inputs, name="bounded", op="Predict"), target

    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        return (ctx.own.sampler.levels(self.sigma_max, self.sigma_min),)

    def guided_field(self, field: Call, values: Expr, scale: Expr) -> Call:
        return call(guided_noise, field, values, scale)

    def field(self, network: Call) -> Call:
        return call(edm_noise_given, network, sigma_data=self.sigma_data)

    def _network(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """F(c_in a_t, c_noise, s)."""
        scaled = ctx.builder.elementwise("edm_input", a_t, t, self._sigma_data(ctx), name="scaled")
        return self.raw(ctx, params, s, scaled, ctx.builder.elementwise("edm_time", t, name="c_noise"), "network")

    def _sigma_data(self, ctx: Context) -> Value:
        return ctx.builder.constant(self.sigma_data, "sigma_data")
