"""A turn as a plugin adds it, in one file."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn

STEPS = 5


@register
class Rounds(Turn):
    """``STEPS`` steps of every environment, then as many updates."""

    name = "rounds"

    def advance(self, player: Player) -> None:
        for _ in range(STEPS):
            player.interact(player.random_actions() if player.step < player.settings.warmup else player.act())
        if player.step >= player.settings.first_update:
            player.update(STEPS * player.settings.updates_a_turn)
