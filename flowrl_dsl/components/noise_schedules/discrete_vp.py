"""Variance-preserving schedule of K levels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.noise_levels import Discrete
from flowrl_dsl.graph.expr import Call, call, kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def vp_betas(levels, b_min, b_max):
    """1 - beta_k = exp(-b_min/K - (b_max - b_min) (2k - 1)/(2 K^2))"""
    k = jnp.arange(1, levels + 1)
    return -jnp.expm1(-b_min / levels - (b_max - b_min) * (2 * k - 1) / (2 * levels**2))


@register
class DiscreteVP(Discrete):
    """``1 - beta_k = exp(-b_min/K - (b_max - b_min)(2k - 1)/(2K^2))``: the continuous linear schedule, in K steps."""

    name = "discrete_vp"
    paper: ClassVar[str] = "arXiv:2208.06193"

    levels: int = Field(5, ge=1, description="number of noise levels K")
    b_min: float = Field(0.1, gt=0, description="noise rate at the first level")
    b_max: float = Field(10.0, gt=0, description="noise rate at the last level")

    def betas(self) -> Call:
        return call(vp_betas, levels=self.levels, b_min=self.b_min, b_max=self.b_max)
