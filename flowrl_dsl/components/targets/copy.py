"""A periodically refreshed copy."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.algorithm import Condition
from flowrl_dsl.components.changing import Target
from flowrl_dsl.components.common import due
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class Copy(Target):
    """``copy <- parameters`` every n-th update (the n-th, the 2n-th, ...), unchanged in between and before ``after``."""

    name = "copy"

    every: int = Field(ge=1, description="updates between refreshes")
    after: int = Field(0, ge=0, description="updates before the first refresh")

    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        refreshed = due(ctx.builder, ctx.update_counter, Condition(every=self.every, after=self.after))
        return ctx.builder.when(refreshed, [params], [copy], name)[0]
