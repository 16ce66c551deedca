"""Linear schedule of K levels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.noise_levels import Discrete
from flowrl_dsl.graph.expr import Call, call
from flowrl_dsl.registry import register


@register
class DiscreteLinear(Discrete):
    """``beta_k`` evenly spaced from beta_min (k = 1) to beta_max (k = K).

    With the default ends the last level is almost pure noise only for K near 1000.
    """

    name = "discrete_linear"
    paper: ClassVar[str] = "arXiv:2006.11239"

    levels: int = Field(1000, ge=1, description="number of noise levels K")
    beta_min: float = Field(1e-4, gt=0, lt=1, description="variance of the first step")
    beta_max: float = Field(0.02, gt=0, lt=1, description="variance of the last step")

    def betas(self) -> Call:
        return call("jnp.linspace", self.beta_min, self.beta_max, self.levels)
