"""Reparameterized: an objective of the policy's own samples is differentiated through the sampling."""

from __future__ import annotations

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.registry import Formula, Slot, register, slot

OBJECTIVE = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action"},
)


@register
class Reparameterized(Mechanism):
    """Maximise E[objective(s, a)], a ~ policy(s)."""

    name = "reparameterized"
    paper = "arXiv:1801.01290"
    provides = frozenset({"entropy"})
    requires = frozenset({"reparameterized"})

    objective: Formula = slot("maximised in the mean over the batch", OBJECTIVE, "min(Q(s, a), over = ensemble)")
