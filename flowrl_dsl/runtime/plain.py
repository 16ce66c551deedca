"""Nested plain values with arrays, to and from JSON text beside named arrays.

Only numbers, strings, booleans, None, lists, tuples, dictionaries with string keys and numeric arrays exist in this
form, so reading one cannot execute code.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from flowrl_dsl.reading import Unreadable

_ARRAY, _TUPLE = "$array", "$tuple"


def is_plain(value: Any) -> bool:
    """Whether :func:`pack` accepts a value."""
    if value is None or isinstance(value, bool | int | float | str | np.integer | np.floating | np.bool_):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, dict) and all(isinstance(k, str) and is_plain(v) for k, v in value.items())


def pack(value: Any) -> tuple[str, dict[str, np.ndarray]]:
    """JSON text in which every array is a reference, and the arrays by reference.

    Round trip: ``unpack(*pack(value))`` equals ``value`` bit for bit, with NumPy scalars kept as arrays of no axes.
    """
    arrays: dict[str, np.ndarray] = {}
    return json.dumps(_pack(value, arrays), indent=1), arrays


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        name = f"a{len(arrays)}"
        arrays[name] = np.array(value)
        return {_ARRAY: name, "scalar": isinstance(value, np.generic)}
    if isinstance(value, dict):
        return {key: _pack(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_pack(item, arrays) for item in value]
    return value


def unpack(text: bytes | str, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of :func:`pack`; raises :class:`Unreadable` for any other text and arrays."""
    try:
        return _unpack(json.loads(text), arrays)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise Unreadable(f"it is not a packed value: {error}") from error


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        array = arrays[value[_ARRAY]]
        return array[()] if value["scalar"] else array
    if _TUPLE in value:
        return tuple(_unpack(item, arrays) for item in value[_TUPLE])
    return {key: _unpack(item, arrays) for key, item in value.items()}
