"""A copy that is refreshed now and then."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Target
from flowrl_dsl.registry import register


@register
class Copy(Target):
    """copy <- parameters in each n-th update."""

    name = "copy"

    every: int = Field(ge=1, description="updates between refreshes")
