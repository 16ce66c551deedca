"""Off-policy regime: steps are kept in a ring of the newest ones, and batches drawn from it."""

from __future__ import annotations

from flowrl_dsl.components.data import Regime
from flowrl_dsl.registry import register


@register
class OffPolicy(Regime):
    """Each update draws a batch of transitions and runs the stages of ``order`` as data flow between versions.

    ``a -> b``: b reads what a wrote.  ``[a, b]``: both read what was there before.  ``every(n, a)``: only in each n-th
    update.  Stage ``targets`` lets every kept copy follow its original.
    """

    name = "off_policy"
