"""Section ``critic``: action values, their targets and their loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.base import ActionChoice, Critic, Network, Optimizer, Section, Target
from flowrl_dsl.registry import UNIT, Drawn, Formula, Scalar, Slot, option, register, slot

BACKUP = Slot(
    result=("batch",),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "r": ("batch",),
        "d": ("batch",),
        "s_next": ("batch", "obs"),
        "a_next": ("batch", "action"),
        "discount": (),
    },
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action"},
)


@register
class CriticSection(Section):
    """Q-functions trained on temporal-difference targets ``y = backup`` without gradient through them."""

    name = "critic"

    kind: Critic = option("how values are represented", "q")
    network: Network = option("network of one ensemble member", "mlp([256, 256])")
    ensemble: int = Field(2, ge=1, description="number of members E")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")
    target: Target | None = option("keeps the copy behind `Q_target`", "ema(0.005)")
    discount: Scalar = option("discount factor", "0.99", UNIT)
    next_action: Drawn[ActionChoice] = option("how a_next is chosen", "sample from policy")
    backup: Formula = slot(
        "the regression target y",
        BACKUP,
        "r + discount * (1 - d) * min(Q_target(s_next, a_next), over = ensemble)",
    )
    reduction: Literal["mean", "sum"] = Field("mean", description="of the members' losses")

    def capabilities(self) -> frozenset[str]:
        return frozenset({"q_target"} if self.target is not None else ()) | self.kind.capabilities()
