"""Deterministic (DDIM) sampling."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def ddim(eps, alpha, a_T, times, clip=None):
    """Follow the probability-flow path of a variance-preserving process.

    For a step from time t to u, with the predicted clean action a_0 = (a_t - sigma_t eps) / alpha_t clipped to
    [-clip, clip] and the corresponding noise e = (a_t - alpha_t a_0) / sigma_t: a_u = alpha_u a_0 + sigma_u e.
    The result is clipped as well.
    """

    def step(a_t, now):
        t, u = now
        alpha_t, alpha_u = alpha(t), alpha(u)
        sigma_t, sigma_u = jnp.sqrt(1 - alpha_t**2), jnp.sqrt(1 - alpha_u**2)
        a_0 = (a_t - sigma_t * eps(a_t, t)) / alpha_t
        a_0 = a_0 if clip is None else jnp.clip(a_0, -clip, clip)
        return alpha_u * a_0 + sigma_u * (a_t - alpha_t * a_0) / sigma_t, None

    a, _ = jax.lax.scan(step, a_T, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class DDIM(Sampler):
    """Deterministic sampling along the probability-flow path: ``a_u = alpha_u a_0 + sigma_u e``."""

    name = "ddim"
    paper: ClassVar[str] = "arXiv:2010.02502"
    provides = frozenset({"diffusion_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"noise_process"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "ddim"
    draws: ClassVar[bool] = False
    order: ClassVar[int | None] = 1
