"""OGBench's layout of ``.npz``: states of whole trajectories, the last of each with a meaningless action.

Arrays: ``observations`` [N, O], ``actions`` [N, A] and ``terminals`` [N], which is 1 at the last state of a trajectory.  A
trajectory of T + 1 states has T transitions.  Trajectories are cut by the recording; with ``masks`` [N], 0 marks steps whose
next value is zero, also in the middle of a trajectory.
Files of transitions have ``next_observations`` too; then ``terminals`` is 1 at the last transition of a trajectory.
Data sets for goals have no ``rewards``.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import AbstractContextManager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from flowrl_dsl.datasets.arrays import Allowance, flags, matrix, numeric, same_length, vector
from flowrl_dsl.datasets.base import Source, Table, TaskSpaces
from flowrl_dsl.datasets.errors import Place, damaged
from flowrl_dsl.diagnostics import did_you_mean

_NO_REWARDS = 'no "rewards": they are 0; the rewards of a single task are computed by ogbench.relabel_utils'


def read(source: Source, allowance: Allowance, task: TaskSpaces | None) -> Table:
    """All transitions of the file."""
    path = source.files[0]
    file = Npz(path, allowance)
    s, a, last = matrix(*file.read("observations")), matrix(*file.read("actions")), flags(*file.read("terminals"))
    count = same_length(path, {"observations": s, "actions": a, "terminals": last})
    r = vector(*file.read("rewards")) if "rewards" in file.names else np.zeros(count, np.float32)
    terminal = ~flags(*file.read("masks")) if "masks" in file.names else np.zeros(count, bool)
    same_length(path, {"terminals": last, "rewards": r, "masks": terminal})
    last[-1] = True
    notes = () if "rewards" in file.names else (_NO_REWARDS,)
    if "next_observations" in file.names:
        s_next = matrix(*file.read("next_observations"))
        same_length(path, {"observations": s, "next_observations": s_next})
        return Table(s, a, r, terminal, last, s_next, rewarded=not notes, notes=notes)
    # the rows of the last states contain no transition
    rows = np.flatnonzero(~last)
    return Table(s[rows], a[rows], r[rows], terminal[rows], last[rows + 1], s[rows + 1], rewarded=not notes, notes=notes)


class Npz:
    """An ``.npz`` file whose arrays are checked before they are decompressed: their types and their sizes."""

    def __init__(self, path: Path, allowance: Allowance):
        self._path, self._allowance = path, allowance
        with _damaged(path), zipfile.ZipFile(path) as archive:
            self.names = {name.removesuffix(".npy") for name in archive.namelist()}

    def read(self, key: str) -> tuple[np.ndarray, Place]:
        """The array ``key``, and its place for diagnostics."""
        place = Place(self._path, key)
        if key not in self.names:
            place.refuse("FRL0454", "does not exist", did_you_mean(key, self.names))
        with _damaged(self._path):
            with zipfile.ZipFile(self._path) as archive:
                info = archive.getinfo(f"{key}.npy")
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    # others decompress without a limit
                    place.refuse(
                        "FRL0453", "is compressed by another method than NumPy's", "save it with numpy.savez_compressed"
                    )
                with archive.open(info) as member:
                    shape, dtype = _header(member)
            numeric(dtype, place)
            self._allowance.take(key, shape, dtype)
            if prod(shape) * dtype.itemsize > info.file_size:
                place.refuse(
                    "FRL0453", f"has the shape {list(shape)}, but only {info.file_size} bytes", "copy the file again"
                )
            with np.load(self._path, allow_pickle=False) as file:
                return file[key], place


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type from the beginning of an array's file."""
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        # later ones are for structured arrays; their headers can have any length
        raise ValueError(f"version {version} of NumPy's format is not that of an array of numbers")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype


def _damaged(path: Path) -> AbstractContextManager[None]:
    """What zipfile and NumPy raise for damaged files; RuntimeError is that of an encrypted one or an unknown compression."""
    return damaged(path, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
