"""A Gaussian squashed by tanh, with state-dependent standard deviation."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Backbone
from flowrl_dsl.registry import register


@register
class TanhGaussian(Backbone):
    """a = tanh(mean + std * noise)."""

    name = "tanh_gaussian"
    paper: ClassVar[str] = "arXiv:1801.01290"
    provides = frozenset({"log_prob", "mode", "reparameterized"})

    log_std_min: float = Field(-5.0, description="lower end of log std")
    log_std_max: float = Field(2.0, description="upper end of log std")
