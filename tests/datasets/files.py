"""Tiny data sets of every format, written by hand: a walk whose observations count its steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

LENGTHS = (4, 1, 3)
"""Steps of the episodes: the first is cut, the second too, the third ends."""
OBS, ACT = 3, 2


def episode(number: int, length: int) -> dict[str, np.ndarray]:
    """Observations [T + 1, 3] with (episode, step, 1), actions [T, 2] in ±1, rewards [T]."""
    steps = np.arange(length + 1, dtype=np.float32)
    observations = np.stack([np.full(length + 1, number), steps, np.ones(length + 1)], axis=1).astype(np.float32)
    actions = np.random.default_rng([number, length]).uniform(-1, 1, (length, ACT)).astype(np.float32)
    return {"observations": observations, "actions": actions, "rewards": (number + 1) * steps[1:]}


def episodes() -> list[dict[str, np.ndarray]]:
    return [episode(number, length) for number, length in enumerate(LENGTHS)]


def ends() -> tuple[np.ndarray, np.ndarray]:
    """Flags of true ends and of cuts [N]."""
    last = np.zeros(sum(LENGTHS), bool)
    last[np.cumsum(LENGTHS) - 1] = True
    terminal = last & (np.arange(len(last)) == len(last) - 1)
    return terminal, last & ~terminal


def d4rl_arrays() -> dict[str, np.ndarray]:
    """The arrays of a D4RL file, with next observations."""
    parts, (terminal, cut) = episodes(), ends()
    return {
        "observations": np.concatenate([part["observations"][:-1] for part in parts]),
        "next_observations": np.concatenate([part["observations"][1:] for part in parts]),
        "actions": np.concatenate([part["actions"] for part in parts]),
        "rewards": np.concatenate([part["rewards"] for part in parts]),
        "terminals": terminal,
        "timeouts": cut,
    }


def ogbench_arrays() -> dict[str, np.ndarray]:
    """The arrays of an OGBench file: all states, the last of each episode with an action of zeros."""
    parts = episodes()
    padded = [np.concatenate([part["actions"], np.zeros((1, ACT), np.float32)]) for part in parts]
    return {
        "observations": np.concatenate([part["observations"] for part in parts]),
        "actions": np.concatenate(padded),
        "terminals": np.concatenate([np.eye(1, length + 1, length)[0] for length in LENGTHS]),
    }


def write_hdf5(path: Path, arrays: dict[str, Any], without: Sequence[str] = ()) -> Path:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if key not in without:
                file[key] = array
    return path


def write_npz(path: Path, arrays: dict[str, Any], without: Sequence[str] = ()) -> Path:
    np.savez_compressed(path, **{key: array for key, array in arrays.items() if key not in without})
    return path


def box(low: list[float], high: list[float]) -> str:
    """A space as Minari describes it."""
    return json.dumps({"type": "Box", "dtype": "float32", "shape": [len(low)], "low": low, "high": high})


def metadata(**changed: Any) -> dict[str, Any]:
    """The metadata of :func:`write_minari`, whose actions lie in [-2, 2]."""
    spaces = {"observation_space": box([-np.inf] * OBS, [np.inf] * OBS), "action_space": box([-2.0] * ACT, [2.0] * ACT)}
    counts = {"total_episodes": len(LENGTHS), "total_steps": sum(LENGTHS)}
    return {"data_format": "hdf5", "dataset_id": "tests/walk-v0", **spaces, **counts, **changed}


def write_minari(folder: Path, **changed: Any) -> Path:
    """The folder of a Minari data set, made without the library; ``changed`` replaces parts of the metadata."""
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "metadata.json").write_text(json.dumps(metadata(**changed)))
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for number, part in enumerate(episodes()):
            length, last = len(part["rewards"]), number == len(LENGTHS) - 1
            group = file.create_group(f"episode_{number}")
            group["observations"], group["actions"], group["rewards"] = (
                part["observations"],
                2 * part["actions"],
                part["rewards"],
            )
            group["terminations"] = np.arange(length) == (length - 1 if last else length)
            group["truncations"] = np.arange(length) == (length if last else length - 1)
    return folder
