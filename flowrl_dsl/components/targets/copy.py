"""A periodically refreshed copy."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Target
from flowrl_dsl.components.common import every_nth
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class Copy(Target):
    """``copy <- parameters`` every n-th update (the n-th, the 2n-th, ...), unchanged in between."""

    name = "copy"

    every: int = Field(ge=1, description="updates between refreshes")

    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        due = every_nth(ctx.builder, ctx.update_counter, self.every)
        return ctx.builder.when(due, [params], [copy], name)[0]
