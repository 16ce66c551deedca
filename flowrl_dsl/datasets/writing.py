"""Writing episodes as a Minari data set, which exists completely or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.datasets.errors import DataError, library
from flowrl_dsl.datasets.minari import METADATA, folder_of

_DRAFT = ".writing-"
_EXPECTED = "expected [NAMESPACE/]NAME-vNUMBER, such as mine/hopper-medium-v0"


@dataclass(frozen=True)
class Episode:
    """Observations [T + 1, O], actions [T, A] in [-1, 1] and rewards [T] of one episode, or of T steps of it.

    ``terminated``: it truly ended.  ``whole``: it was recorded from its start until the task ended it, truly or by a time
    limit, so that the sum of its rewards is a return.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    whole: bool

    def __len__(self) -> int:
        return len(self.rewards)


def episodes_of(
    s: np.ndarray, a: np.ndarray, r: np.ndarray, d: np.ndarray, end: np.ndarray, s_next: np.ndarray
) -> list[Episode]:
    """The episodes of transitions [T, ...] of one environment in time order.

    Where the next observation is not that of the next row, the recording was interrupted: an episode is cut there.
    """
    if not len(r):
        return []
    jumps = np.append((s_next[:-1] != s[1:]).any(axis=1), True)
    last = np.flatnonzero((end > 0) | jumps)
    found = []
    for start, stop in zip([0, *(last[:-1] + 1)], last, strict=True):
        observations = np.concatenate([s[start : stop + 1], s_next[stop : stop + 1]])
        rows = slice(start, stop + 1)
        found.append(Episode(observations, a[rows], r[rows], bool(d[stop]), bool(end[stop])))
    return found


def returns_of(episodes: Sequence[Episode]) -> dict[str, float | int]:
    """The number of whole episodes, and the mean, standard deviation and extremes of their returns."""
    returns = np.array([episode.rewards.sum(dtype=np.float64) for episode in episodes if episode.whole])
    if not len(returns):
        return {"episodes": 0}
    moments = {"mean": returns.mean(), "std": returns.std(), "min": returns.min(), "max": returns.max()}
    return {"episodes": len(returns)} | {name: float(value) for name, value in moments.items()}


def claim(name: str) -> Path:
    """The folder for a new data set; FRL0460 for a name that is no id, FRL0461 if there is such a data set."""
    parsing = library("minari.dataset.minari_dataset", "writing a data set")
    try:
        parsing.parse_dataset_id(name)
    except (ValueError, TypeError) as error:
        raise DataError("FRL0460", f'"{name}" is not the id of a Minari data set', _EXPECTED) from error
    folder = folder_of(name)
    if folder.exists():
        raise DataError("FRL0461", f"there is a data set {name} in {folder}", "choose another name or version")
    return folder


def write(
    name: str,
    episodes: Sequence[Episode],
    low: np.ndarray,
    high: np.ndarray,
    metadata: Mapping[str, Any],
    environment: Any = None,
) -> Path:
    """Write episodes as the data set ``name``; returns its folder.  Actions are scaled to the bounds ``low``, ``high`` [A].

    ``metadata`` are plain values added to Minari's; ``environment`` is the specification of a Gymnasium task, if it is one.
    The data set is written under another name and renamed.
    """
    folder = claim(name)
    draft = folder.with_name(f"{_DRAFT}{folder.name}-{os.getpid()}")
    try:
        (draft / "data").mkdir(parents=True)
        _store(name, draft / "data", episodes, low, high, metadata, environment)
        os.rename(draft, folder)
    except OSError as error:
        raise DataError("FRL0410", f"cannot write {folder}: {error.strerror or error}", "free some space") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _store(
    name: str,
    folder: Path,
    episodes: Sequence[Episode],
    low: np.ndarray,
    high: np.ndarray,
    metadata: Mapping[str, Any],
    environment: Any,
) -> None:
    from gymnasium import spaces

    storages = library("minari.dataset.minari_storage", "writing a data set")
    size = episodes[0].observations.shape[1]
    storage = storages.MinariStorage.new(
        folder,
        observation_space=spaces.Box(-np.inf, np.inf, (size,), np.float32),
        action_space=spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32),
        env_spec=environment,
        data_format="hdf5",
    )
    storage.update_episodes(_buffer(episode, low, high) for episode in episodes)
    # the library writes the id itself when it collects data, but not here
    path = folder / METADATA
    found = json.loads(path.read_text(encoding="utf-8")) | metadata
    found |= {"dataset_id": name, "minari_version": library("minari", "writing a data set").__version__}
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _buffer(episode: Episode, low: np.ndarray, high: np.ndarray) -> Any:
    """The episode as Minari stores it, with actions in the units of the task."""
    buffers = library("minari.data_collector.episode_buffer", "writing a data set")
    last = np.arange(len(episode)) == len(episode) - 1
    scaled = (high + low) / 2 + (high - low) / 2 * episode.actions
    return buffers.EpisodeBuffer(
        observations=episode.observations,
        actions=np.clip(scaled, low, high).astype(np.float32),
        rewards=episode.rewards,
        terminations=last & episode.terminated,
        truncations=last & (not episode.terminated),
    )
