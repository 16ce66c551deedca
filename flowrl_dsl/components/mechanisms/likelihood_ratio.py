"""Likelihood ratio: the log-density of sampled actions is raised where their advantage is positive."""

from __future__ import annotations

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.registry import POSITIVE, Drawn, Formula, Scalar, Slot, option, register, slot

ADVANTAGE = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action"), "log_prob_old": ("batch", "particle")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@register
class LikelihoodRatio(Mechanism):
    """Maximise E[min(ratio A, clip(ratio, 1 - c, 1 + c) A)], ratio = pi(a|s) / pi_source(a|s)."""

    name = "likelihood_ratio"
    paper = "arXiv:1707.06347"
    provides = frozenset({"entropy"})
    requires = frozenset({"log_prob", "old_policy"})

    particles: Drawn[int] = option("actions for each state, and where they come from", "16 from old_policy")
    advantage: Formula = slot("how much better an action is than the average one", ADVANTAGE)
    clip: Scalar = option("how far the ratio may move before its gradient stops", "0.2", POSITIVE)
