"""Value denoising: noisy actions have the values of the clean ones, so the critic's gradient points back to them."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import register


@register
class ValueDenoising(Mechanism):
    """``E[(Q_e(s, a + sigma_l noise, l) - mean_e Q_e(s, a, L))^2]``, a from the batch, l a random noisier level.

    It trains the critic, whose gradient an energy policy follows, and thereby improves the policy.
    """

    name = "value_denoising"
    paper: ClassVar[str] = "arXiv:1907.05600"
    requires = frozenset({"noise_levels"})
    trains: ClassVar[str] = "critic"

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        ctx, *given = ctx.judge("critic", s, a)
        return Loss(ctx.own.kind.denoising_loss(ctx, *given))
