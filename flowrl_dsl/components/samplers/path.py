"""Ancestral sampling that also computes the log-ratio of its path."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.densities import log_normal
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.components.samplers.ddpm import ddpm_step
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel(quick="quick")
def diffusion_path(eps, alpha, u_T, key, times, clip=None, quick=False):
    """Actions a = tanh(u_0) of the reverse chain with noise on every step, and the log-ratio of their paths.

    With beta = 1 - abar_t / abar_u for a step from time t to u and ddpm's posterior mean mu (the predicted clean u_0 bounded
    by clip):

        log N(u_T; 0, 1) + sum log N(u_u; mu(u_t), beta) - sum log N(u_t; sqrt(1 - beta) u_u, beta) - sum_i log(1 - a_i^2)
    """

    def step(carry, now):
        u_t, ratio = carry
        t, u, key = now
        abar_t, abar_u = alpha(t) ** 2, alpha(u) ** 2
        mean, beta = ddpm_step(u_t, eps(u_t, t), abar_t, abar_u, clip)
        u_u = mean + jnp.sqrt(beta) * normal_numbers(key, u_t.shape, quick)
        back = log_normal(u_t, jnp.sqrt(1 - beta) * u_u, jnp.sqrt(beta))
        return (u_u, ratio + log_normal(u_u, mean, jnp.sqrt(beta)) - back), None

    keys = jax.random.split(key, times.shape[0] - 1)
    start = (u_T, log_normal(u_T, 0.0, 1.0))
    (u_0, ratio), _ = jax.lax.scan(step, start, (times[:-1], times[1:], keys))
    squash = jnp.sum(2 * (jnp.log(2.0) - u_0 - jax.nn.softplus(-2 * u_0)), axis=-1)
    return jnp.tanh(u_0), ratio - squash


@register
class Path(Sampler):
    """The reverse chain with noise also on the last step, and ``a = tanh(u_0)``; computes the log-ratio of each path.

    ``log p(u_T ... u_0) - log q(u_T ... u_1 | u_0) - sum_i log(1 - a_i^2)``, p the chain and q the forward process.

    Its mean is an upper bound of the mean log-density of a, tight if the chain reverses the process exactly.  As
    ``draw_log_prob`` in maximum-entropy objectives it yields a lower bound of the entropy.
    """

    name = "path"
    paper: ClassVar[str] = "arXiv:2502.02316"
    provides = frozenset({"diffusion_sampler", "draw_log_prob"})
    requires = frozenset({"noise_process", "continuous_time"})

    steps: int = Field(16, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action before the tanh; none for unbounded", "3.0", POSITIVE)

    kernel: ClassVar[str] = "diffusion_path"
    draws: ClassVar[bool] = True
    rated: ClassVar[bool] = True
