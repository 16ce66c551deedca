"""Minari data sets with the HDF5 backend: one group per episode, and the spaces in ``metadata.json``.

Groups ``episode_0``, ``episode_1``, ... contain ``observations`` [T + 1, ...], ``actions`` [T, ...], ``rewards``,
``terminations`` and ``truncations`` [T].  Observations of a Dict or Tuple space are groups of arrays.

The spaces and the place of a data set come from the library.  Its reader is not used: where a data set has no spaces, it
makes the environment that the data set names, which imports any module; and it follows links of HDF5.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.datasets.arrays import Allowance, flags, matrix, same_length, vector
from flowrl_dsl.datasets.base import Source, Table, TaskSpaces
from flowrl_dsl.datasets.errors import DataError, Place, damaged, library
from flowrl_dsl.datasets.hdf5 import Hdf5, opened
from flowrl_dsl.datasets.scores import Reference
from flowrl_dsl.reading import read_regular

METADATA, STEPS = "metadata.json", "main_data.hdf5"
_LONGEST_METADATA = 2**24
_LARGEST = 1e30
_ID = re.compile(r"[\w/-]{1,200}")


def is_id(name: str) -> bool:
    """Whether a data set of Minari can have this id: it has no suffix and begins with no slash, unlike most paths."""
    return _ID.fullmatch(name) is not None and not name.startswith("/")


def folder_of(name: str) -> Path:
    """The folder of a data set by its id, below Minari's own folder."""
    root = library("minari.storage.datasets_root_dir", f'finding the data set "{name}"')
    return root.get_dataset_path(name)


def read(source: Source, allowance: Allowance, task: TaskSpaces | None) -> Table:
    """All episodes, one after the other."""
    metadata = _metadata(source.folder / METADATA)
    observations, actions = (
        _space(source.folder / METADATA, metadata, f"{kind}_space") for kind in ("observation", "action")
    )
    low, high = _bounds(source.folder / METADATA, actions)
    path = source.folder / STEPS
    with opened(path, allowance) as file:
        count = len(file.names())
        stated = metadata.get("total_episodes")
        if stated != count:
            raise DataError("FRL0454", f"{path} contains {count} episodes, {METADATA} states {stated}")
        if count == 0:
            raise DataError("FRL0459", f"{path} contains no steps")
        episodes = [_episode(file, f"episode_{number}", observations, actions) for number in range(count)]
    s, a, r, terminal, end, s_next = (np.concatenate(parts) for parts in zip(*episodes, strict=True))
    return Table(s, a, r, terminal, end, s_next, low, high, name=_name(metadata), reference=_reference(metadata))


def described(source: Source) -> tuple[str, Reference | None]:
    """The id and the reference returns that its description has; an empty id where there is none."""
    metadata = _metadata(source.folder / METADATA)
    return _name(metadata), _reference(metadata)


def _name(metadata: dict[str, Any]) -> str:
    name = metadata.get("dataset_id")
    return name if isinstance(name, str) and _ID.fullmatch(name) else ""


def _metadata(path: Path) -> dict[str, Any]:
    with damaged(path, OSError, ValueError, RecursionError):
        metadata = json.loads(read_regular(path, _LONGEST_METADATA))
    if not isinstance(metadata, dict):
        raise DataError("FRL0454", f"{path} is not a JSON object")
    if metadata.get("data_format", "hdf5") != "hdf5":
        hint = 'only hdf5 is read: create the data set again with data_format="hdf5"'
        raise DataError("FRL0451", f'{path}: the data set has the format "{metadata["data_format"]}"', hint)
    return metadata


def _space(path: Path, metadata: dict[str, Any], key: str) -> Any:
    """A Gymnasium space from its description in the metadata."""
    text, place = metadata.get(key), Place(path, key)
    if not isinstance(text, str):
        place.refuse("FRL0454", "is missing", "the environment of a data set is not made, for it can be any code")
    serialization = library("minari.serialization", f"reading {path}")
    try:
        return serialization.deserialize_space(text)
    except Exception as error:
        # the constructors of spaces raise whatever their checks meet
        place.refuse("FRL0454", f"does not describe a space: {type(error).__name__}: {error}")


def _bounds(path: Path, space: Any) -> tuple[np.ndarray, np.ndarray]:
    from gymnasium import spaces

    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        hint = "the policies of this language output real vectors"
        Place(path, "action_space").refuse("FRL0454", f"is {space}, expected a Box of real numbers", hint)
    return space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)


def _episode(file: Hdf5, name: str, observations: Any, actions: Any) -> tuple[np.ndarray, ...]:
    """s, a, r, terminal, end and s_next of one episode."""
    seen = _flat(file, f"{name}/observations", observations)
    a, r = _flat(file, f"{name}/actions", actions), vector(*file.read(f"{name}/rewards"))
    terminal = flags(*file.read(f"{name}/terminations"))
    columns = {"observations less one": seen[1:], "actions": a, "rewards": r, "terminations": terminal}
    count = same_length(file.path, columns, f"{name}: ")
    if terminal[:-1].any():
        Place(file.path, f"{name}/terminations").refuse("FRL0454", "marks an end before the last step")
    # truncations are not read: an episode that does not end is cut, also one that the recording left unfinished
    return seen[:-1], a, r, terminal, np.arange(count) == count - 1, seen[1:]


def _flat(file: Hdf5, key: str, space: Any) -> np.ndarray:
    """The values of a space [T, K], the parts of a Dict or Tuple side by side in the order of Gymnasium's ``flatten``."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return _beside(file, key, {f"{key}/{name}": part for name, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _beside(file, key, {f"{key}/_index_{number}": part for number, part in enumerate(space.spaces)})
    if not isinstance(space, spaces.Box):
        Place(file.path, key).refuse("FRL0454", f"has the space {space}, expected boxes of numbers")
    array, place = file.read(key)
    if array.shape[1:] != space.shape:
        place.refuse("FRL0454", f"has rows of shape {list(array.shape[1:])}, its space has {list(space.shape)}")
    return matrix(array if space.shape else array.reshape(-1, 1), place)


def _beside(file: Hdf5, key: str, parts: dict[str, Any]) -> np.ndarray:
    flat = {name: _flat(file, name, space) for name, space in parts.items()}
    if not flat:
        Place(file.path, key).refuse("FRL0454", "has an empty space")
    same_length(file.path, flat)
    return np.concatenate(list(flat.values()), axis=1)


def _reference(metadata: dict[str, Any]) -> Reference | None:
    """The reference returns that data sets imported from D4RL have."""
    low, high = metadata.get("ref_min_score"), metadata.get("ref_max_score")
    if isinstance(low, int | float) and isinstance(high, int | float) and -_LARGEST < low < high < _LARGEST:
        return Reference(float(low), float(high))
    return None
