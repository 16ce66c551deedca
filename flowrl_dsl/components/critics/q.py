"""Ensemble of scalar action values."""

from __future__ import annotations

from flowrl_dsl.components.base import Critic
from flowrl_dsl.registry import register


@register
class Q(Critic):
    """Q_e(s, a), fitted by mean squared error."""

    name = "q"
    provides = frozenset({"q_value"})
