"""Fixed sinusoidal features of time."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Embedding
from flowrl_dsl.registry import register


@register
class Positional(Embedding):
    """Sines and cosines of geometrically spaced frequencies, then a two-layer network."""

    name = "positional"

    size: int = Field(64, ge=2, multiple_of=2, description="number of features")
    hidden: int = Field(64, ge=1, description="width of the two layers behind the features")
