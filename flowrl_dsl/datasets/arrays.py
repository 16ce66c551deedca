"""Checked columns of a data set: shape, type, finite numbers; and how much memory a file may ask for."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.datasets.errors import DataError, Place

_SHAPES = {1: "[rows]", 2: "[rows, components]"}


class Allowance:
    """The bytes that the arrays of one data set may take: half of the machine's memory.

    Files declare the sizes of their arrays, and a few bytes can declare any; so declared sizes are added up before
    anything is read.
    """

    def __init__(self, file: Path, limit: int | None = None):
        self._file = file
        self._limit = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        self._taken = 0

    def take(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], chunk: tuple[int, ...] = ()) -> None:
        """Count an array before it is read; FRL0458 if it does not fit.

        ``chunk`` is the shape of the part that is decompressed at once, which can be larger than the array.
        """
        # in float32 at the end
        self._taken += prod(shape) * max(dtype.itemsize, 4)
        needed = self._taken + (prod(chunk) * dtype.itemsize if chunk else 0)
        if needed > self._limit:
            stored = f" in chunks of {list(chunk)}" if chunk else ""
            Place(self._file, key).refuse(
                "FRL0458",
                f"has the shape {list(shape)}{stored}, with which the data set needs {_size(needed)} of memory",
                f"the limit is {_size(self._limit)}; by default it is half of the memory of this machine",
                "split the data set, or use a machine with more memory",
            )


def _size(count: int) -> str:
    for factor, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def matrix(array: np.ndarray, place: Place) -> np.ndarray:
    """Numbers [N, K] as finite float32; further axes of a row are flattened."""
    if array.ndim < 2 or 0 in array.shape[1:]:
        place.refuse("FRL0454", f"has the shape {list(array.shape)}, expected {_SHAPES[2]}")
    return _finite(array.reshape(len(array), prod(array.shape[1:])), place)


def vector(array: np.ndarray, place: Place) -> np.ndarray:
    """Numbers [N] as finite float32."""
    return _finite(_flat(array, place), place)


def flags(array: np.ndarray, place: Place) -> np.ndarray:
    """Zeros and ones [N] as booleans."""
    flat = _flat(array, place)
    values = _finite(flat, place)
    odd = np.flatnonzero((values != 0) & (values != 1))
    if len(odd):
        place.refuse("FRL0454", f"is {values[odd[0]]:g} in row {odd[0]}, expected 0 or 1")
    return values == 1


def _flat(array: np.ndarray, place: Place) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        place.refuse("FRL0454", f"has the shape {list(array.shape)}, expected {_SHAPES[1]}")
    return array


def numeric(dtype: np.dtype[Any], place: Place) -> None:
    """FRL0454 unless the type is one of real numbers; FRL0457 for Python objects, which are pickles."""
    if dtype.kind == "O":
        place.refuse("FRL0457", "contains Python objects", "loading them would execute code in the file", _NUMBERS)
    if dtype.kind not in "fiub":
        place.refuse("FRL0454", f"contains values of type {dtype}, expected numbers")


_NUMBERS = "write the array again as numbers, of one shape for all rows"


def _finite(array: np.ndarray, place: Place) -> np.ndarray:
    numeric(array.dtype, place)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
    if len(bad):
        where = "" if values.ndim == 1 else f", component {np.flatnonzero(~np.isfinite(values[bad[0]]))[0]}"
        hint = "leave out the episodes that contain such rows, or correct how they were recorded"
        place.refuse("FRL0455", f"is not finite in row {bad[0]}{where} ({len(bad)} such rows)", hint)
    return values


def same_length(file: Path, columns: dict[str, np.ndarray], where: str = "") -> int:
    """The number of rows; FRL0454 if columns differ in it, FRL0459 if there is none."""
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise DataError("FRL0454", f"{file}: {where}the arrays have different numbers of rows: {shown}")
    count = next(iter(lengths.values()))
    if count == 0:
        raise DataError("FRL0459", f"{file}: {where}the data set contains no steps")
    return count
