"""The returns of uniformly random actions, which the tables of scores subtract."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np

_AT_ONCE = 10


class _Uniform:
    """A program whose actions are uniform in [-1, 1] whatever it observes."""

    chunk = 1

    def __init__(self, seed: int, action_size: int):
        self._draw, self.action_size = np.random.default_rng(seed), action_size

    def act(self, state: Any, obs: Any, counter: int, mode: str, hyper: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {"action": self._draw.uniform(-1, 1, (len(obs), self.action_size)).astype(np.float32)}


def random_returns(task: str, episodes: int, action_repeat: int = 1, seed: int = 0) -> np.ndarray:
    """Returns [episodes] of complete episodes with random actions.

    Raises FRL0401 and the like for a task that cannot be made.
    """
    from flowrl_dsl.runtime.evaluation import evaluate
    from flowrl_dsl.runtime.worlds import catalogue

    found: list[float] = []
    while len(found) < episodes:
        with closing(catalogue.make(task, min(_AT_ONCE, episodes), seed + len(found), action_repeat)) as world:
            uniform = _Uniform(seed + len(found), world.action_size)
            found += evaluate(uniform, None, {}, world).returns.tolist()
    return np.array(found[:episodes])
