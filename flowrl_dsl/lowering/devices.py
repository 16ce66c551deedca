"""Arrays on several devices, by JAX's own partitioning: one axis is split among them, or each has the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flowrl_dsl.lowering.iteration import Held, Iterated

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Data

_AXIS = "env"


@dataclass(frozen=True)
class Split:
    """Shardings over ``devices``: ``whole`` on each of them, and the ``first`` or the ``second`` axis split."""

    devices: int
    whole: NamedSharding
    first: NamedSharding
    second: NamedSharding

    def storage(self, fields: Iterable[str]) -> dict[str, NamedSharding]:
        """Of a storage: its rows are split, its numbers are not."""
        return dict.fromkeys(fields, self.first) | {"size": self.whole, "total": self.whole}

    def iteration(self, data: Data) -> dict[str, Any]:
        """Of the arguments and the results of ``iterated``: what has an axis of copies or of rows is split along it."""
        held = Held(self.whole, self.storage(data.stored), self.first)
        results: Any = held, self.second, self.second, self.whole
        return {"in_shardings": (held, self.whole, self.first, self.whole, self.whole), "out_shardings": Iterated(*results)}

    def batch(self, batch: Any, size: int) -> Any:
        """A batch of this size, split if it can be: then each device computes the gradient of its part."""
        return batch if size % self.devices else jax.lax.with_sharding_constraint(batch, self.first)


def split(devices: int) -> Split:
    """The shardings over the first of JAX's devices."""
    mesh = Mesh(np.array(jax.devices()[:devices]), (_AXIS,))
    axes = PartitionSpec(), PartitionSpec(_AXIS), PartitionSpec(None, _AXIS)
    return Split(devices, *(NamedSharding(mesh, one) for one in axes))
