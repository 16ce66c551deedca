"""Second-order single steps along the probability-flow path (DPM-Solver-2)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.noise_levels import halfway
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def dpm_solver_2(eps, alpha, a_T, times, clip=None):
    """Follow the probability-flow path of a variance-preserving process, in single steps with an intermediate point.

    With l = log(alpha / sigma), a step from time t to u with h = l_u - l_t takes the noise e at the time m halfway in l:

        a_m = alpha_m/alpha_t a_t - sigma_m (exp(h/2) - 1) e_t
        a_u = alpha_u/alpha_t a_t - sigma_u (exp(h) - 1) e_m

    Both are ``alpha_u a_0 + sigma_u e`` with the clean action a_0 = (a_t - sigma_t e)/alpha_t.  Each e is replaced where it
    is predicted by the noise that corresponds to a_0 clipped to [-clip, clip]; the result is clipped too.
    """

    def sigma(t):
        return jnp.sqrt(1 - alpha(t) ** 2)

    def noise(a_t, t):
        e = eps(a_t, t)
        if clip is None:
            return e
        a_0 = jnp.clip((a_t - sigma(t) * e) / alpha(t), -clip, clip)
        return (a_t - alpha(t) * a_0) / sigma(t)

    def move(a_t, e, t, u):
        return alpha(u) * (a_t - sigma(t) * e) / alpha(t) + sigma(u) * e

    def step(a_t, now):
        t, m, u = now
        a_m = move(a_t, noise(a_t, t), t, m)
        return move(a_t, noise(a_m, m), t, u), None

    before, after = times[:-1], times[1:]
    a, _ = jax.lax.scan(step, a_T, (before, halfway(alpha, before, after), after))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class DPMSolver2(Sampler):
    """``a_u = alpha_u/alpha_t a_t - sigma_u (e^h - 1) e_m``, h the step in ``log(alpha/sigma)`` and m halfway in it.

    Second order: two network calls per step.  Where ``h`` is large, as on the last steps of an even grid of times,
    ``dpm_solver_pp_2m``, whose steps predict the clean action, errs less.
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
