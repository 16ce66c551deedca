"""Data sets of transitions: readers for Minari, D4RL and OGBench, and what is checked of a data set before training."""

from __future__ import annotations

from flowrl_dsl.datasets.base import Dataset, Episodes, Provenance, TaskSpaces
from flowrl_dsl.datasets.errors import DataError
from flowrl_dsl.datasets.identity import Identity, identify
from flowrl_dsl.datasets.load import load
from flowrl_dsl.datasets.scores import family_of, normalized_score

__all__ = [
    "DataError",
    "Dataset",
    "Episodes",
    "Identity",
    "Provenance",
    "TaskSpaces",
    "family_of",
    "identify",
    "load",
    "normalized_score",
]
