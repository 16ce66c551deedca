"""Heun's steps in the noise level (the deterministic sampler of EDM)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import Call, call, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def falling_levels(most, least, steps, rho):
    """(most^(1/rho) + k/(steps - 1) (least^(1/rho) - most^(1/rho)))^rho for k = 0 ... steps - 1, then 0: [steps + 1]."""
    levels = jnp.linspace(most ** (1 / rho), least ** (1 / rho), steps) ** rho
    return jnp.concatenate([levels, jnp.zeros(1)])


@kernel
def edm_heun(eps, a_T, times, clip=None):
    """Follow da/dsigma = eps(a, sigma) from a = times[0] a_T; times are noise levels, a_T is standard normal.

    For a step from level t to u, with the clean actions d_t = a_t - t eps(a_t, t) and d_u = a' - u eps(a', u), both clipped
    to [-clip, clip], and the action a' at level u that follows from the first of them:

        a' = d_t + u/t (a_t - d_t)
        a_u = a' + (t/u - 1)/2 (d_u - d_t)

    This is Heun's a_t + (u - t)/2 (e_t + e_u) with the slopes e = (a - d)/t, written without their difference: at a low
    level its rounding error would be amplified t/u times.  The last step, to level 0, ends at the clean action.
    """

    def clean(a_t, t):
        a_0 = a_t - t * eps(a_t, t)
        return a_0 if clip is None else jnp.clip(a_0, -clip, clip)

    def step(a_t, now):
        t, u = now
        d_t = clean(a_t, t)
        euler = d_t + u / t * (a_t - d_t)
        return euler + (t / u - 1) / 2 * (clean(euler, u) - d_t), None

    a, _ = jax.lax.scan(step, times[0] * a_T, (times[:-2], times[1:-1]))
    return clean(a, times[-2])


@register
class EDMHeun(Sampler):
    """``a_u = a_t + (u - t)/2 (eps(a_t, t) + eps(a_t + (u - t) eps(a_t, t), u))`` in the noise levels t = sigma.

    Levels are evenly spaced in ``sigma^(1/rho)`` between the backbone's bounds; the last step goes from sigma_min to 0 and
    needs one network call, the others two.  Second order.
    """

    name = "edm_heun"
    paper: ClassVar[str] = "arXiv:2206.00364"
    provides = frozenset({"edm_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"noise_process"})

    steps: int = Field(10, ge=1, description="steps K; 2K - 1 network calls")
    rho: float = Field(7.0, ge=1, description="density of levels at low noise; 1 for even spacing")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "edm_heun"
    draws: ClassVar[bool] = False
    order: ClassVar[int | None] = 2

    def levels(self, sigma_max: float, sigma_min: float) -> Call:
        return call(falling_levels, sigma_max, sigma_min, steps=self.steps, rho=self.rho)
