"""Off-policy regime: transitions are kept in a replay buffer and drawn uniformly."""

from __future__ import annotations

from flowrl_dsl.components.base import Regime
from flowrl_dsl.registry import register


@register
class OffPolicy(Regime):
    """One update: draw a batch of transitions, then run the stages of ``order``."""

    name = "off_policy"
