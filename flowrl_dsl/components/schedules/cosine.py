"""Half a cosine from one value to another, constant afterwards."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Schedule
from flowrl_dsl.registry import Scalar, option, register


@register
class Cosine(Schedule):
    """``cosine(start -> end, over = n)``: start at update 0, end from update n on."""

    name = "cosine"

    start: Scalar = option("value at update 0; written before the arrow")
    end: Scalar = option("value from update `over` on; written after the arrow")
    over: int = Field(ge=1, description="updates from start to end")
