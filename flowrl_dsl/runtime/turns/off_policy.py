"""Turn ``off_policy``: an action in every environment, and the updates that it entitles to."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn


@register
class OffPolicy(Turn):
    """Act, update, step and remember; the first ``warmup`` steps take random actions and no update.

    Where acting fills fields of the record, the policy acts in these steps as well.

    Updates are dispatched before the environments are stepped, so that the device computes while they do: a transition is
    learned from beginning with the updates after the next action.
    """

    name = "off_policy"

    def advance(self, player: Player) -> None:
        settings = player.settings
        at_random = player.step < settings.warmup and not player.fills
        actions = player.random_actions() if at_random else player.act()
        if player.step >= settings.first_update:
            player.update(settings.updates_a_turn)
        player.interact(actions)
