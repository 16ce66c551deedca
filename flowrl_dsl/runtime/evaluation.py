"""Evaluation of a policy: complete episodes from fixed seeds that are never used in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import World

# act counters of evaluations exceed every counter of training
_FIRST_COUNTER = 2**30
# for tasks without a time limit of their own
_LONGEST = 100_000


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of the episodes, in the order of their seeds."""

    returns: np.ndarray
    lengths: np.ndarray

    def record(self) -> dict[str, float | int]:
        """The record for metrics.jsonl."""
        return {
            "return_mean": float(self.returns.mean()),
            "return_std": float(self.returns.std()),
            "return_min": float(self.returns.min()),
            "return_max": float(self.returns.max()),
            "length_mean": float(self.lengths.mean()),
            "episodes": len(self.returns),
        }


def evaluate(program: Any, state: Any, hyper: Mapping[str, Any], world: World) -> Evaluation:
    """One episode in every copy of ``world``, in parallel, with the mode ``evaluate``.

    The result is a function of the state alone, independent of earlier evaluations.
    """
    count = world.count
    returns, lengths = np.zeros(count), np.zeros(count, np.int64)
    active = np.ones(count, bool)
    obs = world.reset()
    for t in range(_LONGEST):
        actions = np.asarray(program.act(state, obs, _FIRST_COUNTER + t, "evaluate", hyper)["action"])
        if not np.isfinite(actions).all():
            raise RunError("FRL0421", "the policy produced a non-finite action during an evaluation")
        stepped = world.step(actions, active)
        done = np.asarray(stepped.done)
        for k, (episode_return, length) in zip(np.flatnonzero(done), stepped.finished, strict=True):
            returns[k], lengths[k] = episode_return, length
        active = active & ~done
        obs = stepped.obs
        if not active.any():
            break
    else:
        cut_short = world.running()
        returns, lengths = np.where(active, cut_short, (returns, lengths))
    return Evaluation(returns, lengths)
