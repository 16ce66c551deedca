"""Functions that exported code calls where NumPy has none of the meaning of an operation; their source is copied into it."""

from __future__ import annotations

import math

import numpy as np


def erf(x):
    """The error function."""
    return np.vectorize(math.erf, otypes=[np.float32])(x)


def erfc(x):
    """1 - erf(x)."""
    return np.vectorize(math.erfc, otypes=[np.float32])(x)


def erf_inv(x):
    """The inverse of erf: x times a polynomial in w = -log(1 - x^2), or in its root (Giles, 2012)."""
    w = -np.log1p(-x * x)
    near = w < 5
    w = np.where(near, w - np.float32(2.5), np.sqrt(w) - np.float32(3))
    coefficients = (
        (2.81022636e-08, -2.00214257e-4),
        (3.43273939e-07, 1.00950558e-4),
        (-3.5233877e-06, 1.34934322e-3),
        (-4.39150654e-06, -3.67342844e-3),
        (2.1858087e-4, 5.73950773e-3),
        (-1.25372503e-3, -7.6224613e-3),
        (-4.17768164e-3, 9.43887047e-3),
        (2.46640727e-1, 1.00167406),
        (1.50140941, 2.83297682),
    )
    found = np.zeros_like(x)
    for small, large in coefficients:
        found = np.where(near, np.float32(small), np.float32(large)) + found * w
    return np.where(np.abs(x) == 1, x * np.float32(np.inf), found * x)


def window(shape, sizes, starts):
    """A window of these sizes; its start is moved so that it lies within the array."""
    firsts = [min(max(int(start), 0), length - size) for start, length, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(first, first + size) for first, size in zip(firsts, sizes, strict=True))


def places(shape, indices, sizes, start_map, batching, index_batching):
    """Positions of windows: indices [*rows, *window] of each axis, the rows out of bounds, and the axes of a window."""
    rows = indices.shape[:-1]
    axes = [axis for axis in range(len(sizes)) if axis not in batching]
    full = rows + tuple(sizes[axis] for axis in axes)
    found, outside = [], np.zeros(rows, bool)
    for axis, size in enumerate(sizes):
        start = np.zeros(rows, np.int64)
        if axis in start_map:
            start = indices[..., list(start_map).index(axis)].astype(np.int64)
        elif axis in batching:
            along = index_batching[list(batching).index(axis)]
            start = np.arange(rows[along]).reshape([-1 if i == along else 1 for i in range(len(rows))]) + start
        outside |= (start < 0) | (start > shape[axis] - size)
        place = np.clip(start, 0, shape[axis] - size).reshape(rows + (1,) * len(axes))
        if axis in axes:
            position = len(rows) + axes.index(axis)
            place = place + np.arange(size).reshape([-1 if i == position else 1 for i in range(len(full))])
        found.append(np.broadcast_to(place, full))
    return found, outside, axes


def gather(x, indices, sizes, start_map, batching, index_batching, collapsed, offsets, fill):
    """Windows of x; those out of bounds are ``fill``, or moved to lie within x where it is None."""
    positions, outside, axes = places(x.shape, indices, sizes, start_map, batching, index_batching)
    found, rows = x[tuple(positions)], outside.ndim
    if fill is not None and outside.any():
        found = np.where(outside.reshape(outside.shape + (1,) * (found.ndim - rows)), np.asarray(fill, x.dtype), found)
    found = found.squeeze(tuple(rows + axes.index(axis) for axis in collapsed))
    return np.moveaxis(found, range(rows, found.ndim), offsets) if offsets else found


def scatter(x, indices, updates, combine, windows, inserted, start_map, batching, index_batching, dropped):
    """x with updates combined into windows of it; those out of bounds are ``dropped``, or moved to lie within x."""
    inner = iter([updates.shape[axis] for axis in windows])
    sizes = [1 if axis in (*inserted, *batching) else next(inner) for axis in range(x.ndim)]
    positions, outside, axes = places(x.shape, indices, sizes, start_map, batching, index_batching)
    rows = outside.ndim
    moved = np.moveaxis(updates, windows, range(rows, updates.ndim)) if windows else updates
    moved = np.expand_dims(moved, tuple(rows + axes.index(axis) for axis in inserted)) if inserted else moved
    kept = ~outside if dropped else np.ones_like(outside)
    result = x.copy()
    combine(result, tuple(place[kept] for place in positions), moved[kept])
    return result
