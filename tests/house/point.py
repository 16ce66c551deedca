"""A world of NumPy: a point that is pushed to the origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowrl_dsl.registry import register
from flowrl_dsl.runtime.worlds.base import World, WorldKind

LIMIT = 15


class Point:
    """Position and speed in a plane; an episode ends truly far away, and is cut off after ``LIMIT`` frames."""

    observation_size, action_size, exact = 4, 2, True

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)

    def reset(self, seed: int | None = None) -> np.ndarray:
        self._random = self._random if seed is None else np.random.default_rng(seed)
        self._x, self._t = self._random.uniform(-0.5, 0.5, 4), 0
        return self._x.astype(np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        self._x[2:] = 0.9 * self._x[2:] + 0.1 * action
        self._x[:2] += 0.2 * self._x[2:]
        self._t += 1
        distance = float(np.abs(self._x[:2]).sum())
        return self._x.astype(np.float32), 1 - distance, distance > 2, self._t >= LIMIT

    def snapshot(self) -> dict[str, Any]:
        return {"x": self._x.copy(), "t": self._t, "random": self._random.bit_generator.state}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._x, self._t = snapshot["x"].copy(), snapshot["t"]
        self._random.bit_generator.state = snapshot["random"]

    def close(self) -> None:
        """Nothing is held."""


@register
class Points(WorldKind):
    """``point/origin``."""

    name = "point"

    def make(self, task: str, seeds: Sequence[int], action_repeat: int) -> World:
        from flowrl_dsl.runtime.worlds.vector import SyncVector

        return SyncVector(task, [Point(seed) for seed in seeds], seeds, action_repeat)
