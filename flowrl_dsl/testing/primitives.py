"""What the primitives of jax compute, in NumPy: the table behind :mod:`flowrl_dsl.testing.traced`.

Each entry takes the equation's parameters and the values of its inputs, and gives a value, or a list for several outputs.
Values are NumPy arrays; random keys are arrays uint32[..., 2].
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Parameters = Mapping[str, Any]
Rule = Callable[..., Any]

_erf = np.vectorize(math.erf, otypes=[np.float32])
_erfc = np.vectorize(math.erfc, otypes=[np.float32])
_INVERSE_ERF = (
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
"""Coefficients of two polynomials in w = -log(1 - x^2), for w < 5 and above (Giles, "Approximating the erfinv function")."""


def _inverse_erf(x: np.ndarray) -> np.ndarray:
    w = -np.log1p(-x * x)
    near = w < 5
    w = np.where(near, w - np.float32(2.5), np.sqrt(w) - np.float32(3))
    found = np.zeros_like(x)
    for small, large in _INVERSE_ERF:
        found = np.where(near, np.float32(small), np.float32(large)) + found * w
    return np.where(np.abs(x) == 1, x * np.float32(np.inf), found * x)


def _divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.divide(x, y) if x.dtype.kind == "f" else np.trunc(np.divide(x, y)).astype(x.dtype)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _shift(function: Rule) -> Rule:
    """Shifts by the width of the number or more give 0, which C leaves open."""
    return lambda x, by: np.where(by < 8 * x.dtype.itemsize, function(x, by), np.zeros_like(x))


_ELEMENTWISE: dict[str, Rule] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "rem": np.fmod,
    "max": np.maximum,
    "min": np.minimum,
    "pow": lambda x, y: np.power(x, y.astype(x.dtype)),
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "cbrt": np.cbrt,
    "logistic": _sigmoid,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "square": np.square,
    "erf": _erf,
    "erfc": _erfc,
    "erf_inv": _inverse_erf,
    "is_finite": np.isfinite,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "lt_to": lambda x, y: (x < y) | (np.isnan(y) & ~np.isnan(x)),
    "le_to": lambda x, y: (x <= y) | np.isnan(y),
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shift_left": _shift(np.left_shift),
    "shift_right_logical": _shift(np.right_shift),
    "shift_right_arithmetic": lambda x, by: np.right_shift(x, np.minimum(by, 8 * x.dtype.itemsize - 1)),
    "nextafter": np.nextafter,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "stop_gradient": lambda x: x,
    "copy": lambda x: x,
}


def _integer_power(p: Parameters, x: np.ndarray) -> np.ndarray:
    y = p["y"]
    return np.power(x, y) if y >= 0 else 1 / np.power(x, -y)


def _select(p: Parameters, which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    if len(cases) == 2:
        return np.where(which, cases[1], cases[0])
    return np.choose(which.astype(int), cases)


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


def _window(shape: Sequence[int], sizes: Sequence[int], starts: Sequence[Any]) -> tuple[slice, ...]:
    """A window of these sizes, moved inside the array where it would reach out of it."""
    firsts = [min(max(int(start), 0), length - size) for start, length, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(first, first + size) for first, size in zip(firsts, sizes, strict=True))


def _dynamic_update(p: Parameters, x: np.ndarray, new: np.ndarray, *starts: Any) -> np.ndarray:
    result = x.copy()
    result[_window(x.shape, new.shape, starts)] = new
    return result


def _split(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, np.cumsum(p["sizes"])[:-1], axis=p["axis"])


def _sort(p: Parameters, *operands: np.ndarray) -> list[np.ndarray]:
    axis = p["dimension"]
    keys = operands[: p["num_keys"]]
    order = np.lexsort(keys[::-1], axis=axis)
    return [np.take_along_axis(x, order, axis) for x in operands]


def _dot(p: Parameters, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (left, right), (left_batch, right_batch) = p["dimension_numbers"]
    names = iter(string.ascii_letters)
    mine = [next(names) for _ in x.shape]
    theirs = [next(names) for _ in y.shape]
    for i, j in [*zip(left, right, strict=True), *zip(left_batch, right_batch, strict=True)]:
        theirs[j] = mine[i]
    out = [mine[i] for i in left_batch]
    out += [name for i, name in enumerate(mine) if i not in (*left, *left_batch)]
    out += [name for j, name in enumerate(theirs) if j not in (*right, *right_batch)]
    return np.einsum(f"{''.join(mine)},{''.join(theirs)}->{''.join(out)}", x, y)


def _qr(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    assert not p["pivoting"], "NumPy has no QR decomposition with pivoting"
    return list(np.linalg.qr(x, mode="complete" if p["full_matrices"] else "reduced"))


def _eigh(p: Parameters, x: np.ndarray) -> list[np.ndarray]:
    values, vectors = np.linalg.eigh(x, UPLO="L" if p["lower"] else "U")
    return [vectors, values]


def _platform(p: Parameters) -> np.int32:
    """Which of the branches is for processors: the last one is for all platforms that no other names."""
    return np.int32(next(i for i, names in enumerate(p["platforms"]) if names is None or "cpu" in names))


# ---------------------------------------------------------------------------------------------- gathering, scattering


def _places(
    shape: Sequence[int],
    indices: np.ndarray,
    sizes: Sequence[int],
    start_map: Sequence[int],
    batching: Sequence[int],
    index_batching: Sequence[int],
) -> tuple[list[np.ndarray], np.ndarray, list[int]]:
    """Where the windows lie: for each axis its indices [*rows, *windows], clamped; which rows reach out; window axes.

    ``sizes`` are those of a window along each axis of the array.
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


# ------------------------------------------------------------------------------------------------------ random numbers

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(k0: Any, k1: Any, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of two words under a key of two words (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3")."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(0x1BD11BDA))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for i in range(5):
        for by in _ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = ((x1 << np.uint32(by)) | (x1 >> np.uint32(32 - by))) ^ x0
        x0, x1 = x0 + keys[(i + 1) % 3], x1 + keys[(i + 2) % 3] + np.uint32(i + 1)
    return x0, x1


def _numbered(keys: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of 0, 1, ... under each key: two arrays [*keys, *shape]."""
    count = np.arange(math.prod(shape), dtype=np.uint32).reshape(shape)
    wide = keys.reshape(keys.shape[:-1] + (1,) * len(shape) + (2,))
    return threefry(wide[..., 0], wide[..., 1], np.zeros_like(count), count)


def _random_bits(p: Parameters, keys: np.ndarray) -> np.ndarray:
    high, low = _numbered(keys, p["shape"])
    return (high ^ low).astype(f"uint{p['bit_width']}")


def _split_keys(p: Parameters, keys: np.ndarray) -> np.ndarray:
    return np.stack(_numbered(keys, p["shape"]), axis=-1)


def _fold_in(p: Parameters, keys: np.ndarray, data: np.ndarray) -> np.ndarray:
    word = np.asarray(data).astype(np.uint32)
    return np.stack(threefry(keys[..., 0], keys[..., 1], np.zeros_like(word), word), axis=-1)


def _seed(p: Parameters, seed: np.ndarray) -> np.ndarray:
    word = np.asarray(seed).astype(np.uint32)
    return np.stack([np.zeros_like(word), word], axis=-1)


def _same(p: Parameters, x: np.ndarray) -> np.ndarray:
    return x


RULES: dict[str, Rule] = {
    **{name: (lambda p, *xs, function=function: function(*xs)) for name, function in _ELEMENTWISE.items()},
    "integer_pow": _integer_power,
    "round": lambda p, x: np.rint(x) if int(p["rounding_method"]) else np.trunc(x + np.copysign(np.float32(0.5), x)),
    "select_n": _select,
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "bitcast_convert_type": lambda p, x: x.view(p["new_dtype"]),
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
    "dynamic_slice": lambda p, x, *starts: x[_window(x.shape, p["slice_sizes"], starts)],
    "dynamic_update_slice": _dynamic_update,
    "sort": _sort,
    "dot_general": _dot,
    "qr": _qr,
    "eigh": _eigh,
    "platform_index": _platform,
    "gather": _gather,
    "scatter": _scatter(_put),
    "scatter-add": _scatter(np.add.at),
    "scatter-mul": _scatter(np.multiply.at),
    "threefry2x32": lambda p, *words: list(threefry(*words)),
    "random_wrap": _same,
    "random_unwrap": _same,
    "random_clone": _same,
    "random_seed": _seed,
    "random_bits": _random_bits,
    "random_split": _split_keys,
    "random_fold_in": _fold_in,
}
