"""Second-order single steps along the probability-flow path (DPM-Solver-2)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.noise_levels import log_snr
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def dpm_solver_2(eps, alpha, a_T, times, clip=None):
    """Follow the probability-flow path of a variance-preserving process, in single steps with an intermediate point.

    With l = log(alpha / sigma), a step from time t to u with h = l_u - l_t first goes to m = (t + u)/2, where
    r h = l_m - l_t, and then corrects the predicted noise e by its value there:

        a_m = alpha_m/alpha_t a_t - sigma_m (exp(r h) - 1) e_t
        a_u = alpha_u/alpha_t a_t - sigma_u (exp(h) - 1) (e_t + (e_m - e_t)/(2 r))

    Both are ``alpha_u a_0 + sigma_u e`` with the clean action a_0 = (a_t - sigma_t e)/alpha_t.  Every e, including
    the corrected one, is replaced by the noise that corresponds to a_0 clipped to [-clip, clip]; the result is clipped too.
    """

    def sigma(t):
        return jnp.sqrt(1 - alpha(t) ** 2)

    def bounded(e, a_t, t):
        if clip is None:
            return e
        a_0 = jnp.clip((a_t - sigma(t) * e) / alpha(t), -clip, clip)
        return (a_t - alpha(t) * a_0) / sigma(t)

    def move(a_t, e, t, u):
        return alpha(u) * (a_t - sigma(t) * e) / alpha(t) + sigma(u) * e

    def step(a_t, now):
        t, u = now
        m = (t + u) / 2
        l_t, l_m, l_u = (log_snr(alpha(x)) for x in (t, m, u))
        r = (l_m - l_t) / (l_u - l_t)
        e_t = bounded(eps(a_t, t), a_t, t)
        a_m = move(a_t, e_t, t, m)
        e_m = bounded(eps(a_m, m), a_m, m)
        return move(a_t, bounded(e_t + (e_m - e_t) / (2 * r), a_t, t), t, u), None

    a, _ = jax.lax.scan(step, a_T, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class DPMSolver2(Sampler):
    """``a_u = alpha_u/alpha_t a_t - sigma_u (e^h - 1) (e_t + (e_m - e_t)/(2r))``, h the step in ``log(alpha/sigma)``.

    m is the midpoint of t and u, at the fraction r of the step h.  Second order: two network calls per step.
    """

    name = "dpm_solver_2"
    paper: ClassVar[str] = "arXiv:2206.00927"
    provides = frozenset({"diffusion_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"noise_process", "continuous_time"})

    steps: int = Field(10, ge=1, description="denoising steps K, with two network calls each")
    clip: Scalar | None = option("bound on the predicted clean action; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "dpm_solver_2"
    draws: ClassVar[bool] = False
    order: ClassVar[int | None] = 2
