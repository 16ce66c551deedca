"""HDF5 files, read without following them anywhere else.

HDF5 can refer to other files (external and virtual data, links) and can declare arrays of any size.  What is read here is
a hard link to a plain array of numbers in the file itself, whose declared size is checked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.datasets.arrays import Allowance, numeric
from flowrl_dsl.datasets.errors import Place, damaged, library
from flowrl_dsl.diagnostics import did_you_mean

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts with these 8 bytes is HDF5, without a user block before it."""
    return start == _SIGNATURE


_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What h5py raises for errors of the HDF5 library, and for names and types that it cannot decode."""


class Hdf5:
    """An open file; ``keys`` are paths such as ``episode_0/actions``."""

    def __init__(self, path: Path, file: Any, allowance: Allowance):
        self.path, self._file, self._allowance = path, file, allowance

    def names(self) -> list[str]:
        """The names at the top of the file, in no particular order."""
        with damaged(self.path, *_ERRORS):
            return list(self._file)

    def has(self, name: str) -> bool:
        """Whether there is an entry of this name at the top of the file."""
        return name in self.names()

    def read(self, key: str) -> tuple[np.ndarray, Place]:
        """The array at ``key``, and its place for diagnostics."""
        place = Place(self.path, key)
        with damaged(self.path, *_ERRORS):
            found = self._entry(key)
            self._check(found, place)
            return found[()], place

    def _check(self, found: Any, place: Place) -> None:
        """Refuse all but an array of numbers in this file whose size is allowed."""
        import h5py

        if not isinstance(found, h5py.Dataset) or found.shape is None:
            place.refuse("FRL0454", "is not an array of numbers")
        if found.is_virtual or found.external:
            place.refuse("FRL0457", "refers to data in other files", "copy the data into one file")
        numeric(found.dtype, place)
        self._allowance.take(place.key, found.shape, found.dtype, found.chunks or ())
        if found.size and not found.id.get_storage_size():
            hint = "write all values of the array, also zeros"
            place.refuse("FRL0453", f"has the shape {list(found.shape)}, but its values were never written", hint)

    def _entry(self, key: str) -> Any:
        """The object at ``key``, over hard links alone."""
        import h5py

        found, passed = self._file, ""
        for name in key.split("/"):
            place = Place(self.path, f"{passed}{name}")
            if not isinstance(found, h5py.Group):
                Place(self.path, passed[:-1]).refuse("FRL0454", "is an array, expected a group")
            link = found.get(name, getlink=True)
            if link is None:
                place.refuse("FRL0454", "does not exist", did_you_mean(name, list(found)[:20]))
            if not isinstance(link, h5py.HardLink):
                place.refuse("FRL0457", "is a link to another place", "links are not followed: copy the data to its place")
            found, passed = found[name], f"{passed}{name}/"
        return found


@contextmanager
def opened(path: Path, allowance: Allowance) -> Iterator[Hdf5]:
    """An HDF5 file for reading; FRL0453 if it is damaged."""
    h5py = library("h5py", f"reading {path}")
    with damaged(path, *_ERRORS):
        file = h5py.File(path, "r")
    with file:
        yield Hdf5(path, file, allowance)
