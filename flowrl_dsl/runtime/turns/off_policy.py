"""Turn ``off_policy``: an action in every environment, and the updates due after it."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.turns.base import Player, Turn, act_and_learn


@register
class OffPolicy(Turn):
    """Act, update, step and store; the first ``warmup`` steps take random actions and no update.

    If acting fills fields of the record, the policy acts in these steps too.

    Updates are dispatched before the environments are stepped, so both run at the same time: a transition is
    first used by the updates after the next action.  In a pure world the steps until something is due are one dispatch.
    """

    name = "off_policy"

    def steps_to_update(self, settings: Settings) -> int:
        return -(-settings.first_update // settings.envs) * settings.envs + 1

    def advance(self, player: Player) -> None:
        settings = player.settings
        if player.step < settings.warmup and not player.fills:
            player.interact(player.random_actions())
            return
        updates = settings.updates_a_turn if player.step >= settings.first_update else 0
        act_and_learn(player, updates)
