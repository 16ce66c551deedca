"""Section ``act``: selection of actions during data collection and evaluation."""

from __future__ import annotations

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.components.section import Section
from flowrl_dsl.registry import Drawn, option, register


@register
class Act(Section):
    """Selection of the action for one observation."""

    name = "act"
    implied = True

    explore: Drawn[ActionChoice] = option("during data collection", "sample from policy")
    evaluate: Drawn[ActionChoice] = option("while evaluating", "sample from policy")
