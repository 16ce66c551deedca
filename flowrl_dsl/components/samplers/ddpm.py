"""Ancestral sampling: each step draws from the Gaussian posterior of the forward process."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@register
class DDPM(Sampler):
    """Ancestral sampling: each step draws from the Gaussian posterior of the forward process."""

    name = "ddpm"
    paper: ClassVar[str] = "arXiv:2006.11239"
    provides = frozenset({"diffusion_sampler"})
    requires = frozenset({"noise_process"})

    steps: int = Field(20, ge=1, description="denoising steps K")
    clip: Scalar | None = option("bound on the predicted clean action; none for no bound", "1.0", POSITIVE)
