"""NumPy implementations of the JAX primitives: the table used by :mod:`flowrl_dsl.testing.traced`.

Each entry takes the equation's parameters and the values of its inputs, and returns a value, or a list of several outputs.
Values are NumPy arrays; random keys are arrays uint32[..., 2].
"""

from __future__ import annotations

import numpy as np

from flowrl_dsl.testing.primitives import arrays, elementwise, indexing, random_numbers
from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _platform(p: Parameters) -> np.int32:
    """The index of the CPU branch; the last branch is the default for all other platforms."""
    return np.int32(next(i for i, names in enumerate(p["platforms"]) if names is None or "cpu" in names))


RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **arrays.RULES,
    **indexing.RULES,
    **random_numbers.RULES,
    "platform_index": _platform,
}

__all__ = ["RULES", "Parameters", "Rule"]
