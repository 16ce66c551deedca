"""Turn ``on_policy``: an action in every environment, and after the last step of a rollout all updates on it."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.turns.base import Player, Turn


@register
class OnPolicy(Turn):
    """Act, step and store; every ``settings.rollout`` steps of each environment, ``settings.updates`` updates.

    In a pure world a turn is the rest of a rollout, or of the run if that is shorter.
    """

    name = "on_policy"

    def steps_to_update(self, settings: Settings) -> int:
        return (settings.rollout - 1) * settings.envs + 1

    def advance(self, player: Player) -> None:
        settings = player.settings
        taken = player.step // settings.envs
        left = settings.rollout - taken % settings.rollout
        steps = min(left, -(-settings.steps // settings.envs) - taken)
        if player.iterate(steps, after=settings.updates if steps == left else 0):
            return
        player.interact(player.act())
        if left == 1:
            player.update(settings.updates)
