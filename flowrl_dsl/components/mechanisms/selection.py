"""Selection: the best of several proposals is imitated."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.registry import NOT_NEGATIVE, Drawn, Formula, Scalar, Slot, option, register, slot

SCORE = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)
WEIGHT = Slot(result=("batch",), values={"score": ("batch", "particle")}, sizes={"A": "action", "N": "particle"})


@register
class Selection(Mechanism):
    """weight * (noise error of the best proposal)^2, plus the same on uniform actions at a smaller weight."""

    name = "selection"
    paper = "arXiv:2405.16173"
    requires = frozenset({"noise_process", "noise_prediction"})

    particles: Drawn[int] = option("proposals for each state, and where they come from", "64 from policy")
    score: Formula = slot("by which the best is chosen", SCORE, "mean(Q(s, a), over = ensemble)")
    weight: Formula = slot("weight of the chosen action, from the scores of all", WEIGHT, "1")
    uniform: int = Field(0, ge=0, description="uniformly random actions for each state that keep entropy up")
    uniform_weight: Scalar = option("their weight as a fraction of the chosen action's", "0.01", NOT_NEGATIVE)
