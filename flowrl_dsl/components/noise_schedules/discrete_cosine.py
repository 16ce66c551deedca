"""Cosine schedule of K levels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.noise_levels import Discrete
from flowrl_dsl.graph.expr import Call, call, kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def cosine_betas(levels, s, most):
    """1 - beta_k = f(k/K) / f((k - 1)/K), f(t) = cos^2(pi/2 (t + s)/(1 + s)); at most ``most``"""
    t = jnp.arange(levels + 1) / levels
    f = jnp.square(jnp.cos(jnp.pi / 2 * (t + s) / (1 + s)))
    return jnp.clip(1 - f[1:] / f[:-1], 0.0, most)


@register
class DiscreteCosine(Discrete):
    """``prod_{j <= k} (1 - beta_j) = f(k/K)/f(0)``, ``f(t) = cos^2(pi/2 (t + s)/(1 + s))``, each beta at most beta_max."""

    name = "discrete_cosine"
    paper: ClassVar[str] = "arXiv:2102.09672"

    levels: int = Field(20, ge=1, description="number of noise levels K")
    s: float = Field(0.008, gt=0, description="offset that prevents too small first steps")
    beta_max: float = Field(0.999, gt=0, lt=1, description="largest variance of one step")

    def betas(self) -> Call:
        return call(cosine_betas, levels=self.levels, s=self.s, most=self.beta_max)
