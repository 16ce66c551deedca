"""Cosine schedule in continuous time."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.noise_levels import Continuous
from flowrl_dsl.graph.expr import Partial, kernel, partial
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def cosine_alpha(t, s):
    """alpha_t = cos(pi/2 (t + s)/(1 + s)) / cos(pi/2 s/(1 + s))"""
    return jnp.cos(jnp.pi / 2 * (t + s) / (1 + s)) / jnp.cos(jnp.pi / 2 * s / (1 + s))


@register
class Cosine(Continuous):
    """``alpha_t = cos(pi/2 (t + s)/(1 + s)) / cos(pi/2 s/(1 + s))``, ``sigma_t^2 = 1 - alpha_t^2``."""

    name = "cosine"
    paper: ClassVar[str] = "arXiv:2102.09672"

    s: float = Field(0.008, gt=0, description="offset that prevents too small first steps")
    t_min: float = Field(1e-3, ge=1e-4, lt=1, description="time of the lowest noise level")
    t_max: float = Field(0.9946, gt=0, lt=1, description="time of the highest noise level")

    def alpha(self) -> Partial:
        return partial(cosine_alpha, s=self.s)
