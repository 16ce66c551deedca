"""Arrays as bytes and back: ``.npy`` and ``.npz`` as NumPy writes them, with nothing else accepted.

NumPy's own reader allocates what a header claims before it compares the claim with the file, unpacks compressed archives of
any size, and raises a dozen kinds of exceptions.  Here an array is never larger than the bytes that contain it.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from typing import Any

import numpy as np

from flowrl_dsl.reading import Unreadable

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': '([<>|]?[biufV]\d{1,2})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \}\s*"
)
"""The header of a numeric array; V2 are the bytes of a bfloat16."""


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of an ``.npz`` of these arrays."""
    buffer = io.BytesIO()
    # without the prefix an array named "file" would be an argument of savez
    marked: dict[str, Any] = {f"_{name}": array for name, array in arrays.items()}
    np.savez(buffer, **marked)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    """The bytes of an ``.npy`` of this array."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of :func:`npz`; raises :class:`Unreadable` for any other bytes."""
    try:
        members = _members(data)
    except Unreadable:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise OSError, ValueError, RuntimeError, struct.error ...
        raise Unreadable(f"it is not an archive of arrays: {error}") from error
    return {name.removeprefix("_").removesuffix(".npy"): read_npy(content) for name, content in members.items()}


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED for one in found):
            raise Unreadable("its arrays are compressed")
        if sum(one.file_size for one in found) > len(data):
            raise Unreadable("its arrays overlap")
        return {one.filename: archive.read(one) for one in found}


def read_npy(data: bytes) -> np.ndarray:
    """The array of :func:`npy`, as a copy; raises :class:`Unreadable` for any other bytes."""
    start = len(_MAGIC) + 2
    length = int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start : start + length].decode("latin-1"))
    if not data.startswith(_MAGIC) or header is None:
        raise Unreadable("an array has an unknown header")
    kind, fortran, lengths = header.groups()
    try:
        dtype = np.dtype(kind)
    except TypeError as error:
        raise Unreadable(f"an array has the unknown type {kind}") from error
    shape = tuple(int(n) for n in lengths.replace(",", " ").split())
    content = memoryview(data)[start + length :]
    if math.prod(shape) * dtype.itemsize != len(content):
        raise Unreadable(f"an array of shape {list(shape)} has {len(content)} bytes")
    if not len(content):
        return np.zeros(shape, dtype)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran == "True" else "C").copy()
