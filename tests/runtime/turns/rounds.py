"""A turn as a plugin adds it, in one file with the regime by which a spec chooses it."""

from __future__ import annotations

from flowrl_dsl.components.data import Regime
from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn

STEPS = 5


@register
class InRounds(Regime):
    """As off_policy, in turns of several steps."""

    name = "in_rounds"
    turn = "rounds"


@register
class Rounds(Turn):
    """``STEPS`` steps of every environment, then as many updates."""

    name = "rounds"

    def advance(self, player: Player) -> None:
        for _ in range(STEPS):
            at_random = player.step < player.settings.warmup and not player.fills
            player.interact(player.random_actions() if at_random else player.act())
        if player.step >= player.settings.first_update:
            player.update(STEPS * player.settings.updates_a_turn)
