"""Value denoising: noisy actions have the values of the clean ones, so the critic's gradient points back to them."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class ValueDenoising(Mechanism):
    """``E[(Q_e(s, a + sigma_l noise, l) - mean_e Q'_e(s, a, L))^2]``, a from the batch, l a random noisier level.

    Q' is the critic before this update, as in the authors' code: whatever the order, not after its own step.  The mechanism
    trains the critic, whose gradient an energy policy follows, and thereby improves the policy.
    """

    name = "value_denoising"
    paper: ClassVar[str] = "arXiv:2602.07873"
    requires = frozenset({"noise_levels"})
    trains: ClassVar[str] = "critic"

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        critic, params, s, a = ctx.judge("critic", s, a)
        return Loss(critic.own.kind.denoising_loss(critic, params, ctx.before("critic"), s, a))
