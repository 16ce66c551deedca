"""A data set as a run uses it: rows for the replay, statistics for formulas, moments for the normalizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flowrl_dsl.record import Record


@dataclass(frozen=True)
class Table:
    """``rows`` [N, width] in time order, as the replay stores them.

    ``statistics`` are the inputs of the program that formulas read of a data set; ``moments`` are mean and standard
    deviation [O] of the observations, std 1 where a component never changes.
    """

    rows: np.ndarray
    statistics: dict[str, float]
    moments: dict[str, np.ndarray]

    @classmethod
    def of(cls, dataset: Any, record: Record) -> Table:
        """The table of a data set with arrays ``s``, ``a``, ``r``, ``d``, ``end``, ``s_next`` and ``episodes.returns``."""
        columns = [np.asarray(getattr(dataset, name), np.float32).reshape(len(dataset.r), -1) for name in record]
        returns, rewards = np.asarray(dataset.episodes.returns), np.asarray(dataset.r, np.float64)
        statistics = {
            "return_min": returns.min(),
            "return_max": returns.max(),
            "reward_mean": rewards.mean(),
            "reward_std": rewards.std(),
        }
        s = np.asarray(dataset.s, np.float64)
        std = s.std(axis=0)
        moments = {"mean": s.mean(axis=0), "std": np.where(std > 0, std, 1.0)}
        return cls(
            np.concatenate(columns, axis=1),
            {f"data.{name}": float(value) for name, value in statistics.items()},
            {name: value.astype(np.float32) for name, value in moments.items()},
        )
