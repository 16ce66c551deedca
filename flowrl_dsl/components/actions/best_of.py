"""The best of several samples by the critic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.registry import register


@register
class BestOf(ActionChoice):
    """a = argmax over n samples of min_e (or mean_e) Q_e(s, a)."""

    name = "best_of"
    requires = frozenset({"q_value"})

    n: int = Field(ge=1, description="number of samples")
    by: Literal["min", "mean"] = Field("min", description="how the ensemble members are combined")
