"""What a data set is: transitions in time order, their episodes, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowrl_dsl.datasets.scores import Reference


@dataclass(frozen=True)
class TaskSpaces:
    """What a data set must agree with: the sizes of a task and the bounds ``low``, ``high`` [A] of its actions.

    ``time_limit`` is the number of steps after which an episode is cut, if there is one.
    """

    name: str
    observation_size: int
    low: np.ndarray
    high: np.ndarray
    time_limit: int | None = None

    @property
    def action_size(self) -> int:
        return len(self.low)


@dataclass(frozen=True)
class Table:
    """What a reader finds: one row per step, in time order and in the units of the file.

    Shapes: ``s`` [N, O], ``a`` [N, A], ``r``, ``terminal``, ``end`` [N]; ``s_next`` [N, O], or None where the file has
    none.  ``terminal`` marks steps whose next value is zero, ``end`` the last step of each episode.  ``low`` and ``high``
    [A] are the bounds of the actions, if the file has them.  ``notes`` are remarks for the user.
    """

    s: np.ndarray
    a: np.ndarray
    r: np.ndarray
    terminal: np.ndarray
    end: np.ndarray
    s_next: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    rewarded: bool = True
    name: str = ""
    reference: Reference | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set on the disk: as the user named it, its ``format``, the ``files`` read, and the ``folder`` they are in."""

    name: str
    format: str
    files: tuple[Path, ...]
    folder: Path

    @property
    def stem(self) -> str:
        """The name of the file without suffix, or of the folder that Minari gave the data set."""
        if len(self.files) == 1:
            return self.files[0].stem
        return self.folder.resolve().parent.name if self.folder.name == "data" else self.folder.name


@dataclass(frozen=True)
class Episodes:
    """Undiscounted returns, lengths and true ends [E] of all episodes in the file, in its order.

    Steps that are not among the transitions, because their next observation is unknown, count here.
    """

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray


@dataclass(frozen=True)
class Provenance:
    """Where a data set comes from, and what was done to it.

    Attributes:
        source: as the user named it.
        name: its id, or the name of the file without suffix.
        format: ``minari``, ``d4rl`` or ``ogbench``.
        sha256: the digest of the file; of several files, that of the lines ``sha256sum`` prints for them.
        rows: steps in the file.
        dropped: last steps of cut episodes, left out because the file does not contain their next observation.
        clipped: numbers in actions that were outside of the bounds, by more than rounding.
        notes: remarks of the reader.
    """

    source: str
    name: str
    format: str
    sha256: str
    rows: int
    dropped: int
    clipped: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Transitions as float32 arrays in time order, episode after episode.

    Attributes:
        s, s_next: observations [N, O] and those that followed the action.
        a: actions [N, A] in [-1, 1], which stand for ``low`` and ``high``.
        r: rewards [N]; zeros if the file has none (``rewarded`` is false).
        d: 1 at true ends [N], where values do not bootstrap; an episode cut by a time limit bootstraps.
        end: 1 at the last row of an episode [N].
        low, high: the bounds of the actions [A] in the units of the task.
        episodes: returns and lengths of the episodes in the file.
        provenance: the source and its digest.
        reference: returns of a random and an expert policy, if known.
    """

    s: np.ndarray
    a: np.ndarray
    r: np.ndarray
    d: np.ndarray
    end: np.ndarray
    s_next: np.ndarray
    low: np.ndarray
    high: np.ndarray
    episodes: Episodes
    provenance: Provenance
    rewarded: bool = True
    reference: Reference | None = None

    def __len__(self) -> int:
        return len(self.r)
