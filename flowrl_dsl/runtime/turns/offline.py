"""Turn ``offline``: the updates of one step, on a data set."""

from __future__ import annotations

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.turns.base import Player, Turn


@register
class Offline(Turn):
    """A step is the updates of ``train.updates``; no environment is stepped."""

    name = "offline"

    def advance(self, player: Player) -> None:
        player.update(player.settings.updates_a_turn)
        player.count_step()
