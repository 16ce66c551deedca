"""Section ``act``: how actions are chosen while collecting data and while evaluating."""

from __future__ import annotations

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.components.section import Section
from flowrl_dsl.registry import Drawn, option, register


@register
class Act(Section):
    """Choices of the action for one observation."""

    name = "act"
    implied = True

    explore: Drawn[ActionChoice] = option("while collecting data", "sample from policy")
    evaluate: Drawn[ActionChoice] = option("while evaluating", "sample from policy")
