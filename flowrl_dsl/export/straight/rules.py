"""The NumPy expression of each operation of jax that the acting functions of policies use.

A rule takes the equation and the texts of its inputs, and returns the text of its result (of several, a tuple).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend import core

Rule = Callable[..., "str | None"]
"""None for parameters that the rule has no text for."""


def _function(name: str) -> Rule:
    return lambda equation, *xs: f"np.{name}({', '.join(xs)})"


def _operator(symbol: str) -> Rule:
    return lambda equation, x, y: f"({x} {symbol} {y})"


def _helper(name: str) -> Rule:
    return lambda equation, *xs: f"{name}({', '.join(xs)})"


def _same(equation: core.JaxprEqn, x: str) -> str:
    return x


def _type(dtype: Any) -> str:
    return "bool" if np.dtype(dtype) == bool else f"np.{np.dtype(dtype).name}"


def shape_text(shape: Sequence[Any]) -> str:
    """A shape as a tuple; symbolic sizes are expressions of n."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def literal(value: np.ndarray) -> str:
    """One number: ``np.float32(0.1)``."""
    if value.dtype == bool:
        return f"np.bool_({bool(value)})"
    number = str(value[()])
    return f"np.{value.dtype.name}({number if value.dtype.kind != 'f' or np.isfinite(value) else repr(number)})"


def _result(equation: core.JaxprEqn) -> Any:
    return equation.outvars[0].aval


def _operand(equation: core.JaxprEqn, position: int = 0) -> Any:
    return equation.invars[position].aval


def _reduction(name: str) -> Rule:
    def rule(equation: core.JaxprEqn, x: str) -> str:
        dtype = f", dtype={_type(_result(equation).dtype)}" if name in ("sum", "prod") else ""
        return f"np.{name}({x}, axis={shape_text(equation.params['axes'])}{dtype})"

    return rule


def _position(name: str) -> Rule:
    return lambda equation, x: (
        f"np.{name}({x}, axis={equation.params['axes'][0]}).astype({_type(equation.params['index_dtype'])})"
    )


def _running(name: str) -> Rule:
    def rule(equation: core.JaxprEqn, x: str) -> str:
        axis = equation.params["axis"]
        given = f"np.flip({x}, {axis})" if equation.params["reverse"] else x
        found = f"np.{name}.accumulate({given}, axis={axis}, dtype={_type(_result(equation).dtype)})"
        return f"np.flip({found}, {axis})" if equation.params["reverse"] else found

    return rule


def _divide(equation: core.JaxprEqn, x: str, y: str) -> str:
    dtype = _result(equation).dtype
    return f"({x} / {y})" if dtype.kind == "f" else f"np.trunc({x} / {y}).astype({_type(dtype)})"


def _broadcast(equation: core.JaxprEqn, x: str, *_: str) -> str:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    given = _operand(equation).shape
    spread = tuple(given[axes.index(i)] if i in axes else 1 for i in range(len(shape)))
    first = x if spread == given or not given else f"{x}.reshape({shape_text(spread)})"
    return first if given and spread == shape else f"np.broadcast_to({first}, {shape_text(shape)})"


def _iota(equation: core.JaxprEqn) -> str:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    text = f"np.arange({shape[axis]}, dtype={_type(equation.params['dtype'])})"
    if len(shape) == 1:
        return text
    line = tuple(size if i == axis else 1 for i, size in enumerate(shape))
    return f"np.broadcast_to({text}.reshape({shape_text(line)}), {shape_text(shape)})"


def _slice(equation: core.JaxprEqn, x: str) -> str:
    p = equation.params
    starts, ends, strides = p["start_indices"], p["limit_indices"], p["strides"] or (1,) * len(p["start_indices"])
    parts = [f"{a}:{b}" + (f":{c}" if c != 1 else "") for a, b, c in zip(starts, ends, strides, strict=True)]
    return f"{x}[{', '.join(parts)}]"


def _dynamic_slice(equation: core.JaxprEqn, x: str, *starts: str) -> str:
    shape, sizes = _operand(equation).shape, equation.params["slice_sizes"]
    return f"{x}[window({shape_text(shape)}, {shape_text(sizes)}, ({', '.join(starts)},))]"


def _split(equation: core.JaxprEqn, x: str) -> str:
    places = np.cumsum(equation.params["sizes"])[:-1].tolist()
    return f"np.split({x}, {places}, axis={equation.params['axis']})"


def _pad(equation: core.JaxprEqn, x: str, value: str) -> str | None:
    config = equation.params["padding_config"]
    if any(low < 0 or high < 0 or inner for low, high, inner in config):
        return None
    widths = [(low, high) for low, high, _ in config]
    return f"np.pad({x}, {widths}, constant_values={value})"


def _select(equation: core.JaxprEqn, which: str, *cases: str) -> str:
    if len(cases) == 2:
        return f"np.where({which}, {cases[1]}, {cases[0]})"
    return f"np.choose({which}, [{', '.join(cases)}])"


def contraction(dimension_numbers: Any, ranks: tuple[int, int]) -> str:
    """The subscripts of ``np.einsum`` for a product of two arrays of these ranks."""
    (left, right), (left_batch, right_batch) = dimension_numbers
    letters = iter(string.ascii_letters)
    mine, theirs = ([next(letters) for _ in range(rank)] for rank in ranks)
    for i, j in [*zip(left, right, strict=True), *zip(left_batch, right_batch, strict=True)]:
        theirs[j] = mine[i]
    out = [mine[i] for i in left_batch]
    out += [name for i, name in enumerate(mine) if i not in (*left, *left_batch)]
    out += [name for j, name in enumerate(theirs) if j not in (*right, *right_batch)]
    return f"{''.join(mine)},{''.join(theirs)}->{''.join(out)}"


def _dot(equation: core.JaxprEqn, x: str, y: str) -> str:
    (left, right), (batch, _) = equation.params["dimension_numbers"]
    ranks = len(_operand(equation).shape), len(_operand(equation, 1).shape)
    if not batch and left == (ranks[0] - 1,) and right == (0,) and ranks[1] <= 2:
        return f"({x} @ {y})"
    return f'np.einsum("{contraction(equation.params["dimension_numbers"], ranks)}", {x}, {y}, optimize=True)'


Axes = tuple[int, ...]


def window_axes(p: Any) -> tuple[Axes, Axes, Axes, Axes, Axes]:
    """The arguments of ``gather`` behind the sizes of windows, without the filling."""
    numbers = p["dimension_numbers"]
    axes = numbers.start_index_map, numbers.operand_batching_dims, numbers.start_indices_batching_dims
    return *axes, numbers.collapsed_slice_dims, numbers.offset_dims


def update_axes(p: Any) -> tuple[Axes, Axes, Axes, Axes, Axes]:
    """The arguments of ``scatter`` behind the function that combines."""
    numbers = p["dimension_numbers"]
    axes = numbers.update_window_dims, numbers.inserted_window_dims, numbers.scatter_dims_to_operand_dims
    return *axes, numbers.operand_batching_dims, numbers.scatter_indices_batching_dims


def is_dropped(p: Any) -> bool:
    """Whether windows out of bounds are filled or dropped; otherwise they are moved."""
    return "FILL" in str(p["mode"])


def filling(p: Any, dtype: np.dtype) -> np.ndarray:
    """What stands for a window out of bounds."""
    value = p["fill_value"]
    if value is None and dtype.kind in "iu":
        value = np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max
    if value is None:
        value = np.nan if dtype.kind == "f" else True
    return np.asarray(value, dtype)


def _gather(equation: core.JaxprEqn, x: str, indices: str) -> str:
    p = equation.params
    axes = ", ".join(map(shape_text, (p["slice_sizes"], *window_axes(p))))
    fill = literal(filling(p, _operand(equation).dtype)) if is_dropped(p) else "None"
    return f"gather({x}, {indices}, {axes}, {fill})"


def _scatter_add(equation: core.JaxprEqn, x: str, indices: str, updates: str) -> str:
    axes = ", ".join(map(shape_text, update_axes(equation.params)))
    return f"scatter({x}, {indices}, {updates}, np.add.at, {axes}, {is_dropped(equation.params)})"


_FUNCTIONS = {
    "max": "maximum", "min": "minimum", "rem": "fmod", "sign": "sign", "abs": "abs", "floor": "floor", "ceil": "ceil",
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log1p": "log1p", "sin": "sin", "cos": "cos",
    "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "cbrt": "cbrt",
    "sqrt": "sqrt", "square": "square", "is_finite": "isfinite", "not": "invert", "nextafter": "nextafter",
}  # fmt: skip
_OPERATORS = {
    "add": "+", "add_any": "+", "sub": "-", "mul": "*", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{name: _function(theirs) for name, theirs in _FUNCTIONS.items()},
    **{name: _operator(symbol) for name, symbol in _OPERATORS.items()},
    **{f"reduce_{name}": _reduction(name) for name in ("sum", "prod", "max", "min")},
    **{name: _helper(name) for name in ("erf", "erfc", "erf_inv")},
    "reduce_and": _reduction("all"),
    "reduce_or": _reduction("any"),
    "argmax": _position("argmax"),
    "argmin": _position("argmin"),
    "cumsum": _running("add"),
    "cumprod": _running("multiply"),
    "cummax": _running("maximum"),
    "cummin": _running("minimum"),
    "div": _divide,
    "pow": lambda equation, x, y: f"np.power({x}, {y}.astype({_type(_result(equation).dtype)}))",
    "integer_pow": lambda equation, x: (
        f"({x} ** {equation.params['y']})" if equation.params["y"] >= 0 else f"(1 / {x} ** {-equation.params['y']})"
    ),
    "neg": lambda equation, x: f"(-{x})",
    "logistic": lambda equation, x: f"(1 / (1 + np.exp(-{x})))",
    "rsqrt": lambda equation, x: f"(1 / np.sqrt({x}))",
    "round": lambda equation, x: (
        f"np.rint({x})" if int(equation.params["rounding_method"]) else f"np.trunc({x} + np.copysign(np.float32(0.5), {x}))"
    ),
    "clamp": lambda equation, low, x, high: f"np.minimum(np.maximum({x}, {low}), {high})",
    "select_n": _select,
    "convert_element_type": lambda equation, x: f"{x}.astype({_type(equation.params['new_dtype'])})",
    "stop_gradient": _same,
    "copy": _same,
    "iota": _iota,
    "broadcast_in_dim": _broadcast,
    "reshape": lambda equation, x, *_: f"{x}.reshape({shape_text(equation.params['new_sizes'])})",
    "squeeze": lambda equation, x: f"{x}.squeeze({shape_text(equation.params['dimensions'])})",
    "expand_dims": lambda equation, x: f"np.expand_dims({x}, {shape_text(equation.params['dimensions'])})",
    "transpose": lambda equation, x: f"{x}.transpose({shape_text(equation.params['permutation'])})",
    "concatenate": lambda equation, *xs: f"np.concatenate([{', '.join(xs)}], axis={equation.params['dimension']})",
    "split": _split,
    "pad": _pad,
    "rev": lambda equation, x: f"np.flip({x}, {shape_text(equation.params['dimensions'])})",
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "dot_general": _dot,
    "gather": _gather,
    "scatter-add": _scatter_add,
}
