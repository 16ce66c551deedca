"""Ancestral (DDPM) sampling."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.graph.expr import Expr, kernel
from flowrl_dsl.graph.expr import Literal as Constant
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel(quick="quick")
def ddpm(eps, alpha, a_T, key, times, clip=None, posterior=False, quick=False):
    """Draw actions from the reverse chain of a variance-preserving process.

    With abar = alpha^2, beta = 1 - abar_t / abar_u for a step from time t to u, and the predicted clean action
    a_0 = (a_t - sigma_t eps) / alpha_t, clipped to [-clip, clip]:

        a_u = (sqrt(abar_u) beta a_0 + sqrt(1 - beta) (1 - abar_u) a_t) / (1 - abar_t) + sqrt(beta) noise

    and no noise on the last step.  With ``posterior`` the variance is beta (1 - abar_u) / (1 - abar_t), that of the
    forward process given a_0, instead of beta.  The result is clipped as well.
    """
    steps = times.shape[0] - 1
    keys = jax.random.split(key, steps)
    is_last = jnp.arange(steps) == steps - 1

    def step(a_t, now):
        t, u, key, last = now
        abar_t, abar_u = alpha(t) ** 2, alpha(u) ** 2
        beta = 1 - abar_t / abar_u
        a_0 = (a_t - jnp.sqrt(1 - abar_t) * eps(a_t, t)) / jnp.sqrt(abar_t)
        a_0 = a_0 if clip is None else jnp.clip(a_0, -clip, clip)
        mean = (jnp.sqrt(abar_u) * beta * a_0 + jnp.sqrt(1 - beta) * (1 - abar_u) * a_t) / (1 - abar_t)
        std = jnp.where(last, 0.0, jnp.sqrt(beta * (1 - abar_u) / (1 - abar_t) if posterior else beta))
        return mean + std * normal_numbers(key, a_t.shape, quick), None

    a, _ = jax.lax.scan(step, a_T, (times[:-1], times[1:], keys, is_last))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class DDPM(Sampler):
    """Ancestral sampling: each step draws a Gaussian with the posterior mean of the forward process.

    ``a_u ~ N((sqrt(abar_u) beta a_0 + sqrt(1 - beta) (1 - abar_u) a_t) / (1 - abar_t), v)``; no noise on the last step.
    v is ``beta``, the noise of the forward step, or its ``posterior`` variance ``beta (1 - abar_u) / (1 - abar_t)``: the
    upper and the lower bound of the exact one.
    """

    name = "ddpm"
    paper: ClassVar[str] = "arXiv:2006.11239"
    provides = frozenset({"diffusion_sampler"})
    requires = frozenset({"noise_process"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)
    variance: Literal["beta", "posterior"] = Field("beta", description="variance of a step")

    kernel: ClassVar[str] = "ddpm"
    draws: ClassVar[bool] = True

    def constants(self) -> dict[str, Expr]:
        return {"posterior": Constant(True)} if self.variance == "posterior" else {}
