"""Arrays as a safetensors file: a header of JSON and plain numbers, which nothing executes.

Layout: the length of the header (8 bytes, little-endian), the header ``{name: {dtype, shape, data_offsets}}``, the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

_TYPES = {"float32": "F32", "int32": "I32", "uint32": "U32", "bool": "BOOL"}
_ALIGNMENT = 8


def encoded(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """The file with these arrays by name, and ``about`` as its metadata."""
    header: dict[str, object] = {"__metadata__": dict(about)}
    body = b""
    for name, array in arrays.items():
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": _TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + body
