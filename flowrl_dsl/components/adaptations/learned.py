"""A positive parameter learned so that a measured quantity meets its target."""

from __future__ import annotations

from pydantic import Field, model_validator

from flowrl_dsl.components.base import Adaptation, Optimizer
from flowrl_dsl.registry import NOT_NEGATIVE, Formula, Scalar, Slot, option, register, slot

TARGET = Slot(result=(), values={}, sizes={"A": "action"})


@register
class Learned(Adaptation):
    """Dual ascent on log x: x rises while the divergence is above target_kl, or the entropy below target_entropy."""

    name = "learned"

    init: float = Field(1.0, gt=0, description="value at the start")
    target_kl: Scalar | None = option("divergence from the proposals to hold", "none", NOT_NEGATIVE)
    target_entropy: Formula | None = slot("entropy of the policy to hold", TARGET, "none")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")

    @model_validator(mode="after")
    def _one_target(self) -> Learned:
        if (self.target_kl is None) == (self.target_entropy is None):
            raise ValueError("give exactly one of target_kl and target_entropy")
        return self

    def needs(self) -> frozenset[str]:
        return frozenset({"kl" if self.target_kl is not None else "entropy"})
