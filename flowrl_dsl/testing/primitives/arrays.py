"""Primitives on whole arrays: reductions, reshaping, slicing, sorting and matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowrl_dsl.export.straight.helpers import window
from flowrl_dsl.export.straight.rules import contraction
from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _reduction(function: Callable[..., Any]) -> Rule:
    return lambda p, x: function(x, axis=tuple(p["axes"])).astype(x.dtype)


def _position(function: Callable[..., Any]) -> Rule:
    return lambda p, x: np.asarray(function(x, axis=p["axes"][0])).astype(p["index_dtype"])


def _running(function: np.ufunc) -> Rule:
    def rule(p: Parameters, x: np.ndarray) -> np.ndarray:
        flipped = np.flip(x, p["axis"]) if p["reverse"] else x
        found = function.accumulate(flipped, axis=p["axis"])
        return np.flip(found, p["axis"]) if p["reverse"] else found

    return rule


def _broadcast(p: Parameters, x: np.ndarray, *_: Any) -> np.ndarray:
    shape, places = p["shape"], p["broadcast_dimensions"]
    return np.broadcast_to(x.reshape([x.shape[places.index(i)] if i in places else 1 for i in range(len(shape))]), shape)


def _pad(p: Parameters, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    for axis, (low, high, inner) in enumerate(p["padding_config"]):
        length = x.shape[axis] + inner * max(x.shape[axis] - 1, 0)
        wide = np.full((*x.shape[:axis], length, *x.shape[axis + 1 :]), value, x.dtype)
        before = (slice(None),) * axis
        wide[(*before, slice(None, None, inner + 1))] = x
        wide = wide[(*before, slice(max(-low, 0), length - max(-high, 0)))]
        widths = [(0, 0)] * x.ndim
        widths[axis] = max(low, 0), max(high, 0)
        x = np.pad(wide, widths, constant_values=value)
    return x


def _slice(p: Parameters, x: np.ndarray) -> np.ndarray:
    strides = p["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]


def _dynamic_update(p: Parameters, x: np.ndarray, new: np.ndarray, *starts: Any) -> np.ndarray:
    result = x.copy()
    result[window(x.shape, new.shape, starts)] = new
    return result


def _split(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, np.cumsum(p["sizes"])[:-1], axis=p["axis"])


def _sort(p: Parameters, *operands: np.ndarray) -> list[np.ndarray]:
    axis = p["dimension"]
    keys = operands[: p["num_keys"]]
    order = np.lexsort(keys[::-1], axis=axis)
    return [np.take_along_axis(x, order, axis) for x in operands]


def _dot(p: Parameters, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum(contraction(p["dimension_numbers"], (x.ndim, y.ndim)), x, y)


def _qr(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    assert not p["pivoting"], "NumPy has no QR decomposition with pivoting"
    return list(np.linalg.qr(x, mode="complete" if p["full_matrices"] else "reduced"))


def _eigh(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    values, vectors = np.linalg.eigh(x, UPLO="L" if p["lower"] else "U")
    return [vectors, values]


RULES: dict[str, Rule] = {
    "iota": lambda p: np.broadcast_to(
        np.arange(p["shape"][p["dimension"]], dtype=p["dtype"]).reshape(
            [-1 if i == p["dimension"] else 1 for i in range(len(p["shape"]))]
        ),
        p["shape"],
    ),
    "reduce_sum": _reduction(np.sum),
    "reduce_prod": _reduction(np.prod),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_and": _reduction(np.all),
    "reduce_or": _reduction(np.any),
    "argmax": _position(np.argmax),
    "argmin": _position(np.argmin),
    "cumsum": _running(np.add),
    "cumprod": _running(np.multiply),
    "cummax": _running(np.maximum),
    "cummin": _running(np.minimum),
    "broadcast_in_dim": _broadcast,
    "reshape": lambda p, x, *_: x.reshape(p["new_sizes"]),
    "squeeze": lambda p, x: x.squeeze(tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: x.transpose(p["permutation"]),
    "concatenate": lambda p, *xs: np.concatenate(xs, axis=p["dimension"]),
    "stack": lambda p, *xs: np.stack(xs, axis=p["axis"]),
    "split": _split,
    "pad": _pad,
    "rev": lambda p, x: np.flip(x, tuple(p["dimensions"])),
    "slice": _slice,
    "dynamic_slice": lambda p, x, *starts: x[window(x.shape, p["slice_sizes"], starts)],
    "dynamic_update_slice": _dynamic_update,
    "sort": _sort,
    "dot_general": _dot,
    "qr": _qr,
    "eigh": _eigh,
}
