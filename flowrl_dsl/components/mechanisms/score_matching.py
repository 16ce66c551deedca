"""Score matching: the noise prediction regresses to a given target."""

from __future__ import annotations

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.registry import Formula, Slot, register, slot

TARGET = Slot(
    result=("batch", "action"),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "a_t": ("batch", "action"),
        "noise": ("batch", "action"),
        "alpha": ("batch",),
        "sigma": ("batch",),
        "t": ("batch",),
    },
    functions=("Q", "Q_target", "eps"),
    sizes={"A": "action"},
)


@register
class ScoreMatching(Mechanism):
    """E[(eps(s, a_t, t) - target)^2]."""

    name = "score_matching"
    paper = "arXiv:2312.11752"
    requires = frozenset({"noise_process", "noise_prediction"})

    target: Formula = slot("what the noise prediction regresses to", TARGET)
