"""All transitions are equally likely."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.components.data import Sampling
from flowrl_dsl.components.random_numbers import quick_integers
from flowrl_dsl.registry import register


@register
class Uniform(Sampling):
    """Batches are drawn uniformly, with replacement, from all stored transitions."""

    name = "uniform"

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        return memory, quick_integers(key, (count,), storage["size"])
