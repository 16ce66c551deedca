"""Continuous-time variance-preserving diffusion with noise prediction."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Backbone, Embedding, NoiseSchedule
from flowrl_dsl.registry import option, register


@register
class Diffusion(Backbone):
    """a_t = alpha_t a + sigma_t noise; a network predicts the noise from (a_t, t, s)."""

    name = "diffusion"
    paper: ClassVar[str] = "arXiv:2011.13456"
    provides = frozenset({"noise_process", "noise_prediction", "reparameterized"})
    requires = frozenset({"diffusion_sampler"})

    schedule: NoiseSchedule = option("alpha_t and sigma_t", "cosine")
    time: Embedding = option("features of the diffusion time", "fourier(64)")
    obs: tuple[int, ...] = Field((128, 128), description="layers of the observation embedding; [] for none")
