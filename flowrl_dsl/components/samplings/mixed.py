"""A part of each batch from a data set, the rest from what training has collected."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field as Option

from flowrl_dsl.components.data import Sampling
from flowrl_dsl.components.random_numbers import quick_integers
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@register
class Mixed(Sampling):
    """The share ``data`` of a batch is drawn uniformly from the data set, the rest from the transitions collected so far.

    As long as none has been collected the whole batch is drawn from the data set.
    """

    name = "mixed"
    paper: ClassVar[str] = "arXiv:2302.02948"
    needs_data: ClassVar[bool] = True

    data: float = Option(0.5, ge=0, le=1, description="share of a batch that is drawn from the data set")

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        rows = storage["rows"]
        collected = storage["size"] - rows
        of_data, of_replay = jax.random.split(key)
        share = round(self.data * count)
        old = quick_integers(of_data, (count,), rows)
        new = rows + quick_integers(of_replay, (count,), jnp.maximum(collected, 1))
        return memory, jnp.where((jnp.arange(count) < share) | (collected == 0), old, new)
