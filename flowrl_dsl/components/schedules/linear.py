"""Linear interpolation between two values, constant afterwards."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.ramp import Ramp
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def linear_schedule(step, start, end, over):
    """start + (end - start) min(update / over, 1)"""
    return start + (end - start) * jnp.minimum(step / over, 1.0)


@register
class Linear(Ramp):
    """``linear(start -> end, over = n)``: ``start + (end - start) min(update / over, 1)``."""

    name = "linear"
    curve: ClassVar[str] = "linear_schedule"
