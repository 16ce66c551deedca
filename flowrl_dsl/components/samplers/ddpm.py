"""Ancestral (DDPM) sampling."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from flowrl_dsl.components.base import Sampler, StepKernels
from flowrl_dsl.components.densities import log_normal_by_component, reached
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.graph.expr import Expr, kernel
from flowrl_dsl.graph.expr import Literal as Constant
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def ddpm_step(a_t, eps, abar_t, abar_u, clip=None, posterior=False):
    """Mean and variance of a step from time t to u.

    With abar = alpha^2, beta = 1 - abar_t / abar_u, and the predicted clean action a_0 = (a_t - sigma_t eps) / alpha_t,
    clipped to [-clip, clip],

        mean = (sqrt(abar_u) beta a_0 + sqrt(1 - beta) (1 - abar_u) a_t) / (1 - abar_t),    variance = beta

    or, with ``posterior``, variance = beta (1 - abar_u) / (1 - abar_t), that of the forward process given a_0.
    """
    beta = 1 - abar_t / abar_u
    a_0 = (a_t - jnp.sqrt(1 - abar_t) * eps) / jnp.sqrt(abar_t)
    a_0 = a_0 if clip is None else jnp.clip(a_0, -clip, clip)
    mean = (jnp.sqrt(abar_u) * beta * a_0 + jnp.sqrt(1 - beta) * (1 - abar_u) * a_t) / (1 - abar_t)
    return mean, beta * (1 - abar_u) / (1 - abar_t) if posterior else beta


@kernel
def ddpm_draw(a_t, eps, alpha_t, alpha_u, last, noise, floor=None, clip=None, posterior=False):
    """A draw of ``ddpm_step``, with this noise: of standard deviation at least ``floor``, the last one too.

    Without a floor there is no noise on the last step, whose result is within [-clip, clip].
    """
    abar_t, abar_u = (jnp.square(x)[..., None] for x in (alpha_t, alpha_u))
    mean, variance = ddpm_step(a_t, eps, abar_t, abar_u, clip, posterior)
    std = jnp.sqrt(variance)
    if floor is not None:
        return mean + jnp.maximum(std, floor) * noise
    is_last = last[..., None] > 0
    a = mean + jnp.where(is_last, 0.0, std) * noise
    return a if clip is None else jnp.where(is_last, jnp.clip(a, -clip, clip), a)


@kernel(quick="quick")
def ddpm(eps, alpha, a_T, key, times, clip=None, posterior=False, quick=False):
    """Draw actions from the reverse chain of a variance-preserving process.

    Its steps are those of ``ddpm_step``, in one function with the loop where nothing else reads them; there is no noise on
    the last.  The result is within [-clip, clip].
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


@kernel(quick="quick")
def ddpm_chain(eps, alpha, a_T, key, times, floor=None, clip=None, posterior=False, quick=False):
    """Draw actions by ``ddpm_draw``, one step after the other.

    Returns them, the noisy actions [..., denoise, action] from which each step started, and the noise predicted there.
    """
    steps = times.shape[0] - 1

    def step(a_t, now):
        t, u, key, last = now
        e, noise = eps(a_t, t), normal_numbers(key, a_t.shape, quick)
        return ddpm_draw(a_t, e, alpha(t), alpha(u), last, noise, floor, clip, posterior), (a_t, e)

    last = (jnp.arange(steps) == steps - 1).astype(jnp.float32)
    a, kept = jax.lax.scan(step, a_T, (times[:-1], times[1:], jax.random.split(key, steps), last))
    return a, *(jnp.moveaxis(x, 0, -2) for x in kept)


@kernel
def ddpm_log_prob(eps, alpha, chain, a, times, floor, clip=None, posterior=False):
    """log N(a_u; mean, std^2) of each step and component of a ``ddpm_chain`` that ended at a: [..., denoise, action]."""
    abar_t, abar_u = (alpha(end)[:, None] ** 2 for end in (times[:-1], times[1:]))
    mean, variance = ddpm_step(chain, eps(chain, times[:-1]), abar_t, abar_u, clip, posterior)
    return log_normal_by_component(reached(chain, a), mean, jnp.maximum(jnp.sqrt(variance), floor))


@register
class DDPM(Sampler):
    """Ancestral sampling: each step draws a Gaussian with the posterior mean of the forward process.

    ``a_u ~ N((sqrt(abar_u) beta a_0 + sqrt(1 - beta) (1 - abar_u) a_t) / (1 - abar_t), v)``; no noise on the last step.
    v is ``beta``, the noise of the forward step, or its ``posterior`` variance ``beta (1 - abar_u) / (1 - abar_t)``: the
    upper and the lower bound of the exact one.  With a ``floor``, each step has a standard deviation of at least that, the
    last one too, and the action is not clipped: steps then have densities (arXiv:2409.00588).
    """

    name = "ddpm"
    paper: ClassVar[str] = "arXiv:2006.11239"
    provides = frozenset({"diffusion_sampler", "denoising_step"})
    requires = frozenset({"noise_process"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)
    variance: Literal["beta", "posterior"] = Field("beta", description="variance of a step")
    floor: Scalar | None = option(
        "smallest standard deviation of a step; none for no bound, and no noise on the last step", "none", POSITIVE
    )

    kernel: ClassVar[str] = "ddpm"
    draws: ClassVar[bool] = True
    numbers: ClassVar[tuple[str, ...]] = ("clip", "floor")
    single: ClassVar[str] = "ddpm_draw"
    kept: ClassVar[str] = "ddpm_chain"

    def capabilities(self) -> frozenset[str]:
        return self.provides if self.floor is None else self.provides | {"step_log_prob"}

    def step_kernels(self) -> StepKernels | None:
        return None if self.floor is None else StepKernels("ddpm_chain", "ddpm_log_prob")

    def constants(self) -> dict[str, Expr]:
        return {"posterior": Constant(True)} if self.variance == "posterior" else {}
