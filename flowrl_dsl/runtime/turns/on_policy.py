"""Turn ``on_policy``: an action in every environment, and after the last step of a rollout all updates on it."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.turns.base import Player, Turn


@register
class OnPolicy(Turn):
    """Act, step and store; every ``settings.rollout`` steps of each environment, ``settings.updates`` updates."""

    name = "on_policy"

    def steps_to_update(self, settings: Settings) -> int:
        return (settings.rollout - 1) * settings.envs + 1

    def advance(self, player: Player) -> None:
        settings = player.settings
        player.interact(player.act())
        if player.step % (settings.rollout * settings.envs) == 0:
            player.update(settings.updates)
