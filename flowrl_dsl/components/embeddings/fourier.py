"""Learnable Fourier features of time."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Embedding
from flowrl_dsl.registry import register


@register
class Fourier(Embedding):
    """[cos(2 pi f t), sin(2 pi f t)] with trained frequencies f, then a two-layer network."""

    name = "fourier"

    size: int = Field(64, ge=2, multiple_of=2, description="number of features")
    scale: float = Field(0.2, gt=0, description="standard deviation of the initial frequencies")
    hidden: int = Field(64, ge=1, description="width of the two layers behind the features")
