"""Elementwise primitives: arithmetic, comparisons, choices and conversions."""

from __future__ import annotations

import numpy as np

from flowrl_dsl.export.straight.helpers import erf, erf_inv, erfc
from flowrl_dsl.testing.primitives.base import Parameters, Rule


def _divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.divide(x, y) if x.dtype.kind == "f" else np.trunc(np.divide(x, y)).astype(x.dtype)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _shift(function: Rule) -> Rule:
    """Shifts by at least the bit width return 0; C leaves them undefined."""
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
    "erf": erf,
    "erfc": erfc,
    "erf_inv": erf_inv,
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


RULES: dict[str, Rule] = {
    **{name: (lambda p, *xs, function=function: function(*xs)) for name, function in _ELEMENTWISE.items()},
    "integer_pow": _integer_power,
    "round": lambda p, x: np.rint(x) if int(p["rounding_method"]) else np.trunc(x + np.copysign(np.float32(0.5), x)),
    "select_n": _select,
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "bitcast_convert_type": lambda p, x: x.view(p["new_dtype"]),
}
