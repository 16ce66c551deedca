"""Loading a data set: which reader, what is checked, and how its steps become transitions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from flowrl_dsl.datasets import d4rl, hdf5, minari, ogbench
from flowrl_dsl.datasets.arrays import Allowance
from flowrl_dsl.datasets.base import Dataset, Episodes, Provenance, Source, Table, TaskSpaces
from flowrl_dsl.datasets.errors import DataError, damaged
from flowrl_dsl.diagnostics import nearest

Reader = Callable[[Source, Allowance, TaskSpaces | None], Table]

READERS: Mapping[str, Reader] = MappingProxyType({"minari": minari.read, "d4rl": d4rl.read, "ogbench": ogbench.read})

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_FORMATS = "expected a folder or an id of Minari, an HDF5 file with D4RL's keys, or an .npz file of OGBench"
_ROUNDING = 1e-6


def load(source: str | Path, task: TaskSpaces | None = None, memory: int | None = None) -> Dataset:
    """Read and check a data set: the id or folder of a Minari data set, a D4RL HDF5 file, or an OGBench ``.npz``.

    The contents of the source decide on the reader, not its name.  With ``task``, the sizes must be those of the task, and
    its bounds are those of the actions; otherwise the bounds are those in the file, or ±1.  The arrays may take at most
    ``memory`` bytes (default: half of the machine's).  Nothing in the file is executed.

    Raises:
        DataError: with the place in the file, its cause and a cure.
    """
    found = locate(source)
    table = READERS[found.format](found, Allowance(found.files[-1], memory), task)
    _check_sizes(found, table, task)
    table.end[-1:] = True
    kept, s_next = _transitions(table)
    if not len(kept.r):
        raise DataError("FRL0459", f"{source} contains no step whose next observation is known")
    low, high = _bounds(found, table, task)
    a, clipped = _scaled(kept.a, low, high)
    provenance = Provenance(
        source=found.name,
        name=table.name or found.stem,
        format=found.format,
        sha256=digest(found),
        rows=len(table.r),
        dropped=len(table.r) - len(kept.r),
        clipped=clipped,
        notes=(*table.notes, *_contradictions(table, task)),
    )
    d, end = kept.terminal.astype(np.float32), kept.end.astype(np.float32)
    fields = kept.s, a, kept.r, d, end, s_next
    return Dataset(*fields, low, high, _episodes(table), provenance, table.rewarded, table.reference)


def locate(source: str | Path) -> Source:
    """The data set that the user named, and its format."""
    path = Path(source)
    with damaged(path, OSError, ValueError):
        if path.is_file():
            return Source(str(source), _format(path), (path,), path.parent)
        if not path.is_dir() and not minari.is_id(str(source)):
            raise DataError("FRL0450", f'there is no file "{source}"', _similar(path))
        folder = _minari_folder(path if path.is_dir() else minari.folder_of(str(source)))
    if folder is None and path.is_dir():
        raise DataError("FRL0451", f"{path} is not a data set", f"it contains no {minari.METADATA}", _FORMATS)
    if folder is None:
        hint = f"if it is the id of a Minari data set: minari download {source}"
        raise DataError("FRL0450", f'there is no data set "{source}": neither a file, a folder, nor an id known here', hint)
    files = folder / minari.METADATA, folder / minari.STEPS
    return Source(str(source), "minari", files, folder)


def _similar(path: Path) -> str:
    """The file in the same folder that was probably meant."""
    folder = path.parent
    close = nearest(path.name, (one.name for one in folder.iterdir())) if folder.is_dir() else None
    if close is not None:
        return f'did you mean "{folder / close}"?'
    return "" if folder.is_dir() else f"there is no folder {folder} either"


def _minari_folder(path: Path) -> Path | None:
    """The folder of the data itself: Minari keeps it in ``data`` below the folder of the data set."""
    return next((folder for folder in (path / "data", path) if (folder / minari.METADATA).is_file()), None)


def _format(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(8)
    if hdf5.is_hdf5(start):
        # the steps of a Minari data set, named without its folder
        if path.name == minari.STEPS and _minari_folder(path.parent) == path.parent:
            raise DataError("FRL0451", f"{path} is a part of a Minari data set", f"name its folder: {path.parent}")
        return "d4rl"
    if start.startswith(_ZIP):
        return "ogbench"
    reason = "it looks like a pickle, which can execute code when it is loaded" if start.startswith(_PICKLE) else ""
    raise DataError("FRL0451", f"{path} is neither HDF5 nor .npz", reason, _FORMATS)


def _check_sizes(source: Source, table: Table, task: TaskSpaces | None) -> None:
    """FRL0456 if the observations or actions have another size than the task's."""
    if task is None:
        return
    for what, found, expected in (
        ("observations", table.s.shape[1], task.observation_size),
        ("actions", table.a.shape[1], task.action_size),
    ):
        if found != expected:
            message = f"{source.name}: {what} have {found} components, those of {task.name} have {expected}"
            raise DataError("FRL0456", message, f"choose the task of the data set, or a data set of {task.name}")


def _transitions(table: Table) -> tuple[Table, np.ndarray]:
    """The rows that are transitions, and their next observations.

    If the file has no next observations, the next row has them, except at an end.  After a true end none is needed, and the
    state itself stands in its place.  The last step of an episode that was cut has none: it is dropped, and the step before
    it, whose next observation is known, becomes the last of the episode.
    """
    if table.s_next is not None:
        return table, table.s_next
    dropped = table.end & ~table.terminal
    rows = np.flatnonzero(~dropped)
    last = table.end.copy()
    last[:-1] |= dropped[1:]
    following = np.arange(len(table.r)) + ~table.end
    kept = {name: getattr(table, name)[rows] for name in ("s", "a", "r", "terminal")}
    return replace(table, **kept, end=last[rows]), table.s[following[rows]]


def _bounds(source: Source, table: Table, task: TaskSpaces | None) -> tuple[np.ndarray, np.ndarray]:
    """What ±1 stand for in the units of the file."""
    if task is not None:
        return task.low, task.high
    size = table.a.shape[1]
    if table.low is None or table.high is None:
        return -np.ones(size), np.ones(size)
    bad = ~(np.isfinite(table.low) & np.isfinite(table.high) & (table.low < table.high))
    if bad.any():
        message = f"{source.name}: action component {np.flatnonzero(bad)[0]} has no finite bounds"
        raise DataError("FRL0459", message, "name the task, whose bounds are then used: --task TASK")
    return table.low, table.high


def _contradictions(table: Table, task: TaskSpaces | None) -> Iterator[str]:
    if task is not None and table.low is not None and table.high is not None:
        own, given = np.stack([table.low, table.high]), np.stack([task.low, task.high])
        if not np.allclose(own, given):
            component = int(np.flatnonzero(~np.isclose(own, given).all(axis=0))[0])
            bounds = f"{own[:, component].tolist()} in the file, {given[:, component].tolist()} in {task.name}"
            yield f"the bounds of action component {component} are {bounds}, which are used"


def _scaled(a: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, int]:
    """Actions in [-1, 1], and how many numbers were clipped by more than rounding."""
    center, half = (high + low) / 2, (high - low) / 2
    # bounds of ±1 keep every bit
    unit = ((a - center) / half).astype(np.float32) if center.any() or (half != 1).any() else a
    outside = int((np.abs(unit) > 1 + _ROUNDING).sum())
    return np.clip(unit, -1, 1), outside


def _episodes(table: Table) -> Episodes:
    last = np.flatnonzero(table.end)
    starts = np.concatenate([[0], last[:-1] + 1])
    returns = np.add.reduceat(table.r.astype(np.float64), starts)
    return Episodes(returns, last - starts + 1, table.terminal[last])


def digest(source: Source) -> str:
    """SHA-256 of the file; of several files, of the lines that ``sha256sum`` prints for them in their folder."""
    with damaged(source.folder, OSError):
        digests = {}
        for path in source.files:
            with open(path, "rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode()).hexdigest()
