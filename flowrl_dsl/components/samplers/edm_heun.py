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

    For a step from level t to u, with eps_t that of the clean action a_t - t eps(a_t, t) clipped to [-clip, clip]:

        a_u = a_t + (u - t)/2 (eps_t(a_t) + eps_u(a_t + (u - t) eps_t(a_t)))

    The last step, to level 0, ends at the clean action.  The result is clipped as well.
    """

    def clean(a_t, t):
        a_0 = a_t - t * eps(a_t, t)
        return a_0 if clip is None else jnp.clip(a_0, -clip, clip)

    def slope(a_t, t):
        return (a_t - clean(a_t, t)) / t

    def step(a_t, now):
        t, u = now
        start = slope(a_t, t)
        end = slope(a_t + (u - t) * start, u)
        return a_t + (u - t) / 2 * (start + end), None

    a, _ = jax.lax.scan(step, times[0] * a_T, (times[:-2], times[1:-1]))
    return clean(a, times[-2])


@register
class EDMHeun(Sampler):
    """``a_u = a_t + (u - t)/2 (eps(a_t, t) + eps(a_t + (u - t) eps(a_t, t), u))`` in the noise levels t = sigma.

    Levels are evenly spaced in ``sigma^(1/rho)`` between the backbone's ends; the last step goes from sigma_min to 0 and
    needs one network call, the others two.  Second order.
    """

    name = "edm_heun"
    paper: ClassVar[str] = "arXiv:2206.00364"
    provides = frozenset({"edm_sampler"})
    requires = frozenset({"noise_process"})

    steps: int = Field(10, ge=1, description="steps K; 2K - 1 network calls")
    rho: float = Field(7.0, ge=1, description="how much closer levels lie where there is little noise; 1 for even spacing")
    clip: Scalar | None = option("bound on the predicted clean action; none for no bound", "1.0", POSITIVE)

    kernel: ClassVar[str] = "edm_heun"
    draws: ClassVar[bool] = False

    def levels(self, sigma_max: float, sigma_min: float) -> Call:
        return call(falling_levels, sigma_max, sigma_min, steps=self.steps, rho=self.rho)
