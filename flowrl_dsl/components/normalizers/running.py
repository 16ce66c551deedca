"""Running mean and variance of observations."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Normalizer
from flowrl_dsl.registry import register


@register
class Running(Normalizer):
    """s <- clip((s - mean) / sqrt(var + eps), -bound, bound), moments updated from each batch."""

    name = "running"

    clip: float = Field(10.0, gt=0, description="bound on normalised observations")
    eps: float = Field(1e-8, gt=0, description="added to the variance")
