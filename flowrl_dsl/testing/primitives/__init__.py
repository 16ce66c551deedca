"""What the primitives of jax compute, in NumPy: the table behind :mod:`flowrl_dsl.testing.traced`.

Each entry takes the equation's parameters and the values of its inputs, and gives a value, or a list for several outputs.
Values are NumPy arrays; random keys are arrays uint32[..., 2].
"""

from __future__ import annotations

import numpy as np

from flowrl_dsl.testing.primitives import arrays, elementwise, indexing, random_numbers
from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _platform(p: Parameters) -> np.int32:
    """Which of the branches is for processors: the last one is for all platforms that no other names."""
    return np.int32(next(i for i, names in enumerate(p["platforms"]) if names is None or "cpu" in names))


RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **arrays.RULES,
    **indexing.RULES,
    **random_numbers.RULES,
    "platform_index": _platform,
}

__all__ = ["RULES", "Parameters", "Rule"]
