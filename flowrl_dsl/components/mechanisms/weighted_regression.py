"""Weighted regression: actions drawn from a proposal policy are imitated in proportion to their weights."""

from __future__ import annotations

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Drawn, Formula, Scalar, Slot, option, register, slot

WEIGHT = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@register
class WeightedRegression(Mechanism):
    """mean over batch and particles of N w (noise error)^2."""

    name = "weighted_regression"
    paper = "arXiv:2502.00361"
    provides = frozenset({"kl"})
    requires = frozenset({"noise_process", "noise_prediction"})

    particles: Drawn[int] = option("proposals for each state, and where they come from", "64 from policy")
    noise: Scalar = option("standard deviation of Gaussian noise added to the proposals", "0", NOT_NEGATIVE)
    weight: Formula = slot("weight of each proposal; no gradient flows through it", WEIGHT)
    clip_error: Scalar | None = option("upper bound of each squared error", "none", POSITIVE)
