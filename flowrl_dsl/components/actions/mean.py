"""The policy's most likely action."""

from __future__ import annotations

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.registry import register


@register
class Mean(ActionChoice):
    """a = mode of policy(s)."""

    name = "mean"
    requires = frozenset({"mode"})
