"""Every transition is as likely as any other."""

from __future__ import annotations

from flowrl_dsl.components.base import Sampling
from flowrl_dsl.registry import register


@register
class Uniform(Sampling):
    """Batches are drawn uniformly from the transitions there are."""

    name = "uniform"
