"""One sample of the policy."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class Sample(ActionChoice):
    """``a ~ pi(. | s)``."""

    name = "sample"
    plain: ClassVar[bool] = True

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        return ctx.draw(source, s, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return backbone.random
