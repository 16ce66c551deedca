"""Linear variance-preserving schedule in continuous time."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator

from flowrl_dsl.components.noise_levels import Continuous
from flowrl_dsl.graph.expr import Partial, kernel, partial
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def linear_alpha(t, beta_min, beta_max):
    """log alpha_t = -(beta_max - beta_min) t^2 / 4 - beta_min t / 2"""
    return jnp.exp(-(beta_max - beta_min) * t**2 / 4 - beta_min * t / 2)


@register
class Linear(Continuous):
    """``log alpha_t = -(beta_max - beta_min) t^2/4 - beta_min t/2``, ``sigma_t^2 = 1 - alpha_t^2``."""

    name = "linear"
    paper: ClassVar[str] = "arXiv:2011.13456"

    beta_min: float = Field(0.1, gt=0, description="noise rate at t = 0")
    beta_max: float = Field(20.0, gt=0, description="noise rate at t = 1")
    t_min: float = Field(1e-3, ge=1e-4, lt=1, description="time of the lowest noise level")
    t_max: float = Field(1.0, gt=0, le=1, description="time of the highest noise level")

    @field_validator("beta_max")
    @classmethod
    def _not_below(cls, beta_max: float, info: ValidationInfo) -> float:
        if beta_max < info.data.get("beta_min", beta_max):
            raise ValueError("beta_max must not be below beta_min")
        return beta_max

    def alpha(self) -> Partial:
        return partial(linear_alpha, beta_min=self.beta_min, beta_max=self.beta_max)
