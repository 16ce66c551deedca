"""Second-order multistep sampling on the predicted clean action (DPM-Solver++(2M))."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.noise_levels import log_snr
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def dpm_solver_pp_2m(eps, alpha, a_T, times, clip=None):
    """Follow the probability-flow path of a variance-preserving process, using the clean action of the previous step.

    With l = log(alpha / sigma), a step from time t to u with h = l_u - l_t, and the clean action a_0 predicted at t:

        d = a_0 + h/(2 h_before) (a_0 - a_0_before)
        a_u = sigma_u/sigma_t a_t - alpha_u (exp(-h) - 1) d

    and d = a_0 in the first step, which has no predecessor, and in the last, where h grows so fast on an even grid of times
    that the extrapolation would overshoot.  a_0 and d are clipped to [-clip, clip], the result is clipped as well.
    """
    kept = alpha(times)
    sigma, h = jnp.sqrt(1 - kept**2), jnp.diff(log_snr(kept))
    ahead = jnp.pad(h[1:-1] / (2 * h[:-2]), 1)[: h.shape[0]]

    def clipped(a_0):
        return a_0 if clip is None else jnp.clip(a_0, -clip, clip)

    def step(state, now):
        a_t, before = state
        t, alpha_t, alpha_u, sigma_t, sigma_u, ahead = now
        a_0 = clipped((a_t - sigma_t * eps(a_t, t)) / alpha_t)
        d = clipped(a_0 + ahead * (a_0 - before))
        return (sigma_u / sigma_t * a_t + (alpha_u - sigma_u / sigma_t * alpha_t) * d, a_0), None

    steps = (times[:-1], kept[:-1], kept[1:], sigma[:-1], sigma[1:], ahead)
    (a, _), _ = jax.lax.scan(step, (a_T, jnp.zeros_like(a_T)), steps)
    return clipped(a)


@register
class DPMSolverPP2M(Sampler):
    """``a_u = sigma_u/sigma_t a_t - alpha_u (e^-h - 1) (a_0 + h/(2 h_before) (a_0 - a_0_before))``.

    h is the step in ``log(alpha/sigma)``, a_0 the predicted clean action.  Second order with one network call per step; the
    first and the last step are of first order.
    """

    name = "dpm_solver_pp_2m"
    paper: ClassVar[str] = "arXiv:2211.01095"
    provides = frozenset({"diffusion_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"noise_process", "continuous_time"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "dpm_solver_pp_2m"
    draws: ClassVar[bool] = False
    order: ClassVar[int | None] = 2
