"""Half a cosine between two values, constant afterwards."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.ramp import Ramp
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def cosine_schedule(step, start, end, over):
    """end + (start - end) (1 + cos(pi min(update / over, 1))) / 2"""
    return end + (start - end) * (1 + jnp.cos(jnp.pi * jnp.minimum(step / over, 1.0))) / 2


@register
class Cosine(Ramp):
    """``cosine(start -> end, over = n)``: ``end + (start - end) (1 + cos(pi min(update / over, 1))) / 2``."""

    name = "cosine"
    curve: ClassVar[str] = "cosine_schedule"
