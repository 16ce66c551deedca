"""Turn ``offline_to_online``: updates on a data set, then acting too."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn, act_and_learn


@register
class OfflineToOnline(Turn):
    """The first ``settings.offline`` steps are updates alone; after them the policy acts before the updates of each step.

    No action is random: the policy has been trained before it acts.
    """

    name = "offline_to_online"

    def advance(self, player: Player) -> None:
        settings = player.settings
        if player.step < settings.offline:
            player.update(settings.updates_a_turn)
            player.count_step()
            return
        act_and_learn(player, settings.updates_a_turn)
