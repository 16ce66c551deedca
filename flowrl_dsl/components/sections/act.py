"""Section ``act``: selection of actions during data collection and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.registry import Drawn, option, register


@register
class Act(Section):
    """Selection of the action for one observation."""

    name = "act"
    implied = True

    explore: Drawn[ActionChoice] = option("during data collection", "sample from policy")
    evaluate: Drawn[ActionChoice] = option("while evaluating", "sample from policy")

    def idle(self, at: Position) -> dict[str, str]:
        regime: Any = at.algorithm.regime
        return {} if regime.collects(at.algorithm) else {"explore": f"the regime {regime.name} collects nothing"}

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """Without randomness exploring collects the same action in the same state again and again."""
        algorithm, choice = at.algorithm, self.explore
        if "explore" in self.idle(at):
            return
        owner = algorithm.drawn_from(choice.source)
        policy: Any = algorithm.sections[owner]
        if not choice.value.explores(policy.backbone, algorithm):
            place = algorithm.written(f"{at.path}.explore", f"{owner}.backbone")
            yield warning("FRL0305", "exploration has no randomness", place, "for instance explore = noise(0.1)")
