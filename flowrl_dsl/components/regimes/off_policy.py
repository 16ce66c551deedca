"""Off-policy regime: steps are kept in a ring of the newest ones, and batches drawn from it."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.data import Regime, Source
from flowrl_dsl.components.samplings.uniform import Uniform
from flowrl_dsl.components.sources.ring import Ring
from flowrl_dsl.components.stages import feedback_of
from flowrl_dsl.registry import register


@register
class OffPolicy(Regime):
    """Each update draws a batch of transitions and runs the stages of ``order`` as data flow between versions.

    ``a -> b``: b reads what a wrote.  ``[a, b]``: both read what was there before.  ``every(n, a)``: only in each n-th
    update.  Stage ``targets`` lets every kept copy follow its original.
    """

    name = "off_policy"

    def source(self, algorithm: Algorithm, envs: int) -> Source:
        sections: Any = algorithm.sections
        sampling = sections["train"].sampling
        if sampling.feedback and not feedback_of(algorithm):
            sampling = Uniform()  # nothing will ever be reported
        horizon = max(section.window for section in sections.values())
        return Ring(sampling=sampling, horizon=horizon, stride=envs)
