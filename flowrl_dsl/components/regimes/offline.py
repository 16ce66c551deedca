"""Offline regime: all batches are drawn from a data set; nothing is collected."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.data import Regime
from flowrl_dsl.registry import register


@register
class Offline(Regime):
    """Each update draws a batch from a data set and runs the stages of ``order``.

    ``train.steps`` counts updates.  The task is used to evaluate the policy.
    """

    name = "offline"
    turn: ClassVar[str] = "offline"
    acts: ClassVar[bool] = False
