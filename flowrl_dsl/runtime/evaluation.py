"""Evaluation of a policy: complete episodes from fixed seeds that are never used in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowrl_dsl.runtime.chunks import Chunks
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


class Evaluator:
    """Evaluates on copies of a task made for the purpose: one world if it is reusable, else a new one for each evaluation.

    The first world is made at once, so that a task that cannot have so many copies fails before training begins.
    """

    def __init__(self, make: Callable[[], World]):
        self._make = make
        try:
            self._world: World | None = make()
        except RunError as error:
            first = error.diagnostics[0]
            hint = "evaluation needs copies of its own beside those of training: `episodes` of them at the same time"
            raise RunError(first.code, first.message, *first.notes, hint) from error

    def evaluate(self, program: Any, state: Any, hyper: Mapping[str, Any]) -> Evaluation:
        """As :func:`evaluate`, independently of earlier evaluations."""
        world = self._world = self._world or self._make()
        result = evaluate(program, state, hyper, world)
        if not world.reusable:
            self.close()
        return result

    def close(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None


def evaluate(program: Any, state: Any, hyper: Mapping[str, Any], world: World) -> Evaluation:
    """One episode in every copy of ``world``, in parallel, with the mode ``evaluate``.

    With a new or a reusable world, the result is a function of the state alone.
    """
    count = world.count
    returns, lengths = np.zeros(count), np.zeros(count, np.int64)
    active, chunks = np.ones(count, bool), Chunks.of(program, count)
    obs = world.reset()
    for t in range(_LONGEST):
        chosen = program.act(state, obs, _FIRST_COUNTER + t, "evaluate", hyper)["action"] if chunks.due else None
        actions = chunks.take(chosen)
        if not np.isfinite(actions).all():
            raise RunError("FRL0421", "the policy produced a non-finite action during an evaluation")
        stepped = world.step(actions, active)
        done = np.asarray(stepped.done)
        for k, (episode_return, length) in zip(np.flatnonzero(done), stepped.finished, strict=True):
            returns[k], lengths[k] = episode_return, length
        active = active & ~done
        chunks.end(done)
        obs = stepped.obs
        if not active.any():
            break
    else:
        cut_short = world.running()
        returns, lengths = np.where(active, cut_short, (returns, lengths))
    return Evaluation(returns, lengths)
