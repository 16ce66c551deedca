"""The copy that collected the newest rollout."""

from __future__ import annotations

from typing import Any, ClassVar

from flowrl_dsl.components.changing import Target
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.targets.copy import Copy
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class Rollout(Target):
    """``copy <- parameters`` after the last update of each rollout, so that it is what collects the next one."""

    name = "rollout"
    of_rollouts: ClassVar[bool] = True
    requires = frozenset({"rollouts"})

    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        rollout: Any = ctx.algorithm.sections["rollout"]
        return Copy(every=rollout.updates, after=0).follow(ctx, copy, params, name)
