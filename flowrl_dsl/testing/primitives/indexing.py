"""Gathering and scattering: windows of an array at computed positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowrl_dsl.export.straight.helpers import gather, scatter
from flowrl_dsl.export.straight.rules import filling, is_dropped, update_axes, window_axes
from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _gather(p: Parameters, x: np.ndarray, indices: np.ndarray) -> Any:
    fill = filling(p, x.dtype) if is_dropped(p) else None
    return gather(x, indices, p["slice_sizes"], *window_axes(p), fill)


def _scatter(combine: Callable[[np.ndarray, Any, np.ndarray], None]) -> Rule:
    return lambda p, x, indices, updates: scatter(x, indices, updates, combine, *update_axes(p), is_dropped(p))


def _put(result: np.ndarray, places: Any, values: np.ndarray) -> None:
    result[places] = values


RULES: dict[str, Rule] = {
    "gather": _gather,
    "scatter": _scatter(_put),
    "scatter-add": _scatter(np.add.at),
    "scatter-mul": _scatter(np.multiply.at),
}
