"""Deterministic sampling along the probability-flow path."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@register
class DDIM(Sampler):
    """Deterministic sampling along the probability-flow path."""

    name = "ddim"
    paper: ClassVar[str] = "arXiv:2010.02502"
    provides = frozenset({"diffusion_sampler"})
    requires = frozenset({"noise_process"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for no bound", "1.0", POSITIVE)
