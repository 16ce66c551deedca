"""One sample of the policy."""

from __future__ import annotations

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.registry import register


@register
class Sample(ActionChoice):
    """a ~ policy(s)."""

    name = "sample"
