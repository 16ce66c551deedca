"""D4RL's layout of HDF5: all steps one after the other, with flags where episodes end.

Keys: ``observations`` [N, O], ``actions`` [N, A], ``rewards``, ``terminals`` [N]; ``timeouts`` [N] and
``next_observations`` [N, O] in newer files.  ``terminals`` marks true ends, ``timeouts`` ends by the time limit.
"""

from __future__ import annotations

import numpy as np

from flowrl_dsl.datasets.arrays import Allowance, flags, matrix, same_length, vector
from flowrl_dsl.datasets.base import Source, Table, TaskSpaces
from flowrl_dsl.datasets.hdf5 import Hdf5, opened
from flowrl_dsl.datasets.scores import D4RL, Reference, family_of


def read(source: Source, allowance: Allowance, task: TaskSpaces | None) -> Table:
    """All steps of the file; ``task`` gives the time limit where the file has no ``timeouts``."""
    path = source.files[0]
    with opened(path, allowance) as file:
        s, a = matrix(*file.read("observations")), matrix(*file.read("actions"))
        r, terminal = vector(*file.read("rewards")), flags(*file.read("terminals"))
        same_length(path, {"observations": s, "actions": a, "rewards": r, "terminals": terminal})
        s_next = _next(file, s) if file.has("next_observations") else None
        cut, notes = _cut(file, s, s_next, terminal, task)
    return Table(s, a, r, terminal, terminal | cut, s_next, reference=reference_of(source), notes=notes)


def reference_of(source: Source) -> Reference | None:
    """The reference returns of its family, by the name of the file."""
    family = family_of(source.files[0].stem)
    return None if family is None else D4RL[family]


def _next(file: Hdf5, s: np.ndarray) -> np.ndarray:
    array, place = file.read("next_observations")
    s_next = matrix(array, place)
    if s_next.shape != s.shape:
        place.refuse("FRL0454", f"has the shape {list(s_next.shape)}, observations have {list(s.shape)}")
    return s_next


def _cut(
    file: Hdf5, s: np.ndarray, s_next: np.ndarray | None, terminal: np.ndarray, task: TaskSpaces | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Where episodes are cut [N], and remarks on how that was found out."""
    if file.has("timeouts"):
        cut = flags(*file.read("timeouts"))
        same_length(file.path, {"terminals": terminal, "timeouts": cut})
        return cut, ()
    if s_next is not None:
        jumps = np.append((s_next[:-1] != s[1:]).any(axis=1), True)
        return jumps, ('no "timeouts": an episode is cut where the next observation is not that of the next row',)
    if task is not None and task.time_limit is not None:
        return _at_limit(terminal, task.time_limit), (f'no "timeouts": episodes are cut after {task.time_limit} steps',)
    return np.zeros(len(s), bool), ('no "timeouts" and no time limit: only terminals end episodes',)


def _at_limit(terminal: np.ndarray, limit: int) -> np.ndarray:
    """Cuts after ``limit`` steps since the last end."""
    starts = np.concatenate([[0], np.flatnonzero(terminal) + 1])
    start = np.repeat(starts, np.diff(np.append(starts, len(terminal))))
    return (np.arange(len(terminal)) - start + 1) % limit == 0
