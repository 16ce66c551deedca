"""Turn ``off_policy``: an action in every environment, and the updates that it entitles to."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn


@register
class OffPolicy(Turn):
    """Act, update, step and remember; the first ``warmup`` steps take random actions and no update.

    Updates are dispatched before the environments are stepped, so that the device computes while they do: a transition is
    learned from beginning with the updates after the next action.
    """

    name = "off_policy"

    def advance(self, player: Player) -> None:
        settings = player.settings
        actions = player.random_actions() if player.step < settings.warmup else player.act()
        if player.step >= settings.first_update:
            player.update(settings.updates_a_turn)
        player.interact(actions)
