"""Gathering and scattering: windows of an array at computed positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _places(
    shape: Sequence[int],
    indices: np.ndarray,
    sizes: Sequence[int],
    start_map: Sequence[int],
    batching: Sequence[int],
    index_batching: Sequence[int],
) -> tuple[list[np.ndarray], np.ndarray, list[int]]:
    """Window positions: clamped indices [*rows, *windows] of each axis; the rows out of bounds; the window axes.

    ``sizes`` are the window sizes along each axis of the array.
    """
    rows = indices.shape[:-1]
    open_axes = [axis for axis, size in enumerate(sizes) if axis not in batching]
    full = rows + tuple(sizes[axis] for axis in open_axes)
    places, outside = [], np.zeros(rows, bool)
    for axis, size in enumerate(sizes):
        start = np.zeros(rows, np.int64)
        if axis in start_map:
            start = indices[..., list(start_map).index(axis)].astype(np.int64)
        elif axis in batching:
            along = index_batching[list(batching).index(axis)]
            start = np.arange(rows[along]).reshape([-1 if i == along else 1 for i in range(len(rows))]) + start
        outside |= (start < 0) | (start > shape[axis] - size)
        place = np.clip(start, 0, shape[axis] - size).reshape(rows + (1,) * len(open_axes))
        if axis in open_axes:
            position = len(rows) + open_axes.index(axis)
            place = place + np.arange(size).reshape([-1 if i == position else 1 for i in range(len(full))])
        places.append(np.broadcast_to(place, full))
    return places, outside, open_axes


def _dropped(mode: Any) -> bool:
    return "FILL" in str(mode)


def _gather(p: Parameters, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    numbers = p["dimension_numbers"]
    batching, along = numbers.operand_batching_dims, numbers.start_indices_batching_dims
    places, outside, open_axes = _places(x.shape, indices, p["slice_sizes"], numbers.start_index_map, batching, along)
    found = x[tuple(places)]
    rows = outside.ndim
    if _dropped(p["mode"]) and outside.any():
        found = np.where(outside.reshape(outside.shape + (1,) * (found.ndim - rows)), _filling(p, x.dtype), found)
    collapsed = tuple(rows + open_axes.index(axis) for axis in numbers.collapsed_slice_dims)
    found = found.squeeze(collapsed)
    offsets = numbers.offset_dims
    return np.moveaxis(found, range(rows, found.ndim), offsets) if offsets else found


def _filling(p: Parameters, dtype: np.dtype) -> Any:
    value = p["fill_value"]
    if value is not None:
        return np.asarray(value, dtype)
    if dtype.kind == "f":
        return np.asarray(np.nan, dtype)
    return np.asarray(True if dtype.kind == "b" else (np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max))


def _scatter(combine: Callable[[np.ndarray, Any, np.ndarray], None]) -> Rule:
    def rule(p: Parameters, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        numbers = p["dimension_numbers"]
        batching, along = numbers.operand_batching_dims, numbers.scatter_indices_batching_dims
        windows = numbers.update_window_dims
        inner = iter([updates.shape[axis] for axis in windows])
        closed = (*numbers.inserted_window_dims, *batching)
        sizes = [1 if axis in closed else next(inner) for axis in range(x.ndim)]
        starts = numbers.scatter_dims_to_operand_dims
        places, outside, open_axes = _places(x.shape, indices, sizes, starts, batching, along)
        rows = outside.ndim
        moved = np.moveaxis(updates, windows, range(rows, updates.ndim)) if windows else updates
        inserted = [rows + open_axes.index(axis) for axis in numbers.inserted_window_dims]
        moved = np.expand_dims(moved, tuple(inserted)) if inserted else moved
        kept = ~outside if _dropped(p["mode"]) else np.ones_like(outside)
        result = x.copy()
        combine(result, tuple(place[kept] for place in places), moved[kept])
        return result

    return rule


def _put(result: np.ndarray, places: Any, values: np.ndarray) -> None:
    result[places] = values


RULES: dict[str, Rule] = {
    "gather": _gather,
    "scatter": _scatter(_put),
    "scatter-add": _scatter(np.add.at),
    "scatter-mul": _scatter(np.multiply.at),
}
