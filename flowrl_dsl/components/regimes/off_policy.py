"""Off-policy regime: transitions are stored in a ring buffer, from which batches are drawn."""

from __future__ import annotations

from flowrl_dsl.components.data import Regime
from flowrl_dsl.registry import register


@register
class OffPolicy(Regime):
    """Each update draws a batch of transitions and runs the stages of ``order`` as data flow between versions.

    ``a -> b``: b reads the versions written by a.  ``[a, b]``: both read the versions before.  ``every(n, a)``: only every
    n-th update.  Stage ``targets`` updates all copies.
    """

    name = "off_policy"
