"""Exponential moving average of parameters."""

from __future__ import annotations

from flowrl_dsl.components.base import Target
from flowrl_dsl.registry import UNIT, Scalar, option, register


@register
class EMA(Target):
    """copy <- (1 - rate) copy + rate * parameters, each update."""

    name = "ema"

    rate: Scalar = option("share of the new parameters", "0.005", UNIT)
