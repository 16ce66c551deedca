"""A data set as a run uses it: rows for the replay, statistics for formulas, moments for the normalizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowrl_dsl.datasets import Dataset
from flowrl_dsl.record import STEP


@dataclass(frozen=True)
class Table:
    """``rows`` [N, width] in time order, as the replay stores them.

    ``statistics`` are the inputs of the program that formulas read of a data set; ``moments`` are mean and standard
    deviation [O] of the observations, std 1 where a component never changes.  ``sha256`` is the digest of the data set.
    """

    rows: np.ndarray
    statistics: dict[str, float]
    moments: dict[str, np.ndarray]
    sha256: str = ""
    _storage: list[Any] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, dataset: Dataset) -> Table:
        columns = [np.asarray(getattr(dataset, name), np.float32).reshape(len(dataset), -1) for name in STEP]
        returns, rewards = dataset.episodes.returns, dataset.r.astype(np.float64)
        statistics = {
            "return_min": returns.min(),
            "return_max": returns.max(),
            "reward_mean": rewards.mean(),
            "reward_std": rewards.std(),
        }
        s = dataset.s.astype(np.float64)
        std = s.std(axis=0)
        moments = {"mean": s.mean(axis=0), "std": np.where(std > 0, std, 1.0)}
        return cls(
            np.concatenate(columns, axis=1),
            {f"data.{name}": float(value) for name, value in statistics.items()},
            {name: value.astype(np.float32) for name, value in moments.items()},
            dataset.provenance.sha256,
        )

    def stored(self, store: Callable[[], Any]) -> Any:
        """The rows on the device: stored once, for all runs of this process that learn from them."""
        if not self._storage:
            self._storage.append(store())
        return self._storage[0]
