"""Several copies of one of Gymnasium's MuJoCo tasks, with their physics stepped together on a few threads.

Observations and rewards are computed for all copies at once (:mod:`flowrl_dsl.runtime.worlds.mujoco_formulas`), because one
call per copy of Gymnasium's own methods takes longer than the physics.  Resets are Gymnasium's.  Snapshots have the format
of single copies in both stepping modes, so each mode restores those of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Protocol

import mujoco
import numpy as np

from flowrl_dsl.runtime.worlds.base import FAILURES, Stepped
from flowrl_dsl.runtime.worlds.mujoco_formulas import FORMULAS
from flowrl_dsl.runtime.worlds.simulations import Rows, Simulations
from flowrl_dsl.runtime.worlds.vector import Single, SyncVector

_TRIAL = 12


class MujocoSingle(Single, Protocol):
    """One copy of a Gymnasium task on MuJoCo, with the attributes that a batch reads."""

    @property
    def task(self) -> Any:
        """The task without the wrappers around it; has ``model``, ``data`` and ``frame_skip``."""
        ...

    @property
    def time_limit(self) -> Any:
        """The wrapper that counts the frames of an episode, None for a task without a limit."""
        ...

    @property
    def rescale(self) -> Callable[[np.ndarray], np.ndarray]:
        """Maps [-1, 1] onto the bounds of the actions."""
        ...


class BatchedVector(SyncVector[MujocoSingle]):
    """Computes the same numbers as :class:`SyncVector`, faster; for a task of ``FORMULAS``."""

    def __init__(self, task: str, singles: Sequence[MujocoSingle], seeds: Sequence[int], action_repeat: int, **options: Any):
        """``options`` are those of :class:`SyncVector`."""
        super().__init__(task, singles, seeds, action_repeat, **options)
        self._tasks: list[Any] = [single.task for single in singles]
        self._simulations = Simulations(self._tasks[0].model, self.count)
        limit = singles[0].time_limit
        self._limit = np.inf if limit is None else limit._max_episode_steps
        self._formula = FORMULAS[task]

    def _advance(
        self,
        which: np.ndarray,
        actions: np.ndarray,
        obs: np.ndarray,
        reward: np.ndarray,
        terminal: np.ndarray,
        truncated: np.ndarray,
    ) -> None:
        total = np.zeros(self.count)
        scaled = self._singles[0].rescale(actions)
        try:
            for _ in range(self._repeat):
                # a slice reads the rows of all copies without copying them
                rows = slice(None) if len(which) == self.count else which
                self._lengths[rows] += 1
                obs[rows], gained, terminal[rows] = self._frame(rows, scaled[rows])
                total[rows] += gained
                # an end at the time limit is still an end
                truncated[rows] = (self._lengths[rows] >= self._limit) & ~terminal[rows]
                which = which[~(terminal | truncated)[which]]
                if not which.size:
                    break
        except FAILURES as error:
            raise self._boundary.failed(error, "at a step of its copies together") from error
        self._returns += total
        reward[:] = total

    def _frame(self, rows: Rows, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        task = self._tasks[0]
        before = self._simulations.field("qpos")[rows, 0].copy()
        self._simulations.step(rows, scaled, task.frame_skip)
        return self._formula(task, before, lambda name: self._simulations.field(name)[rows], scaled)

    def _reset(self, k: int, seed: int | None = None) -> np.ndarray:
        obs = super()._reset(k, seed)
        self._give(k)
        return obs

    def _give(self, k: int) -> None:
        self._simulations.give(k, self._tasks[k].model, self._tasks[k].data)

    def _take(self, k: int) -> None:
        """Update Gymnasium's copy to the state it would have after stepping itself."""
        own, limit = self._tasks[k], self._singles[k].time_limit
        self._simulations.take(k, own.data)
        mujoco.mj_rnePostConstraint(own.model, own.data)
        if limit is not None:
            limit._elapsed_steps = int(self._lengths[k])

    def snapshot(self) -> dict[str, Any]:
        for k in self._simulations.ahead():
            self._take(k)
        return super().snapshot()

    def restore(self, snapshot: dict[str, Any]) -> np.ndarray:
        obs = super().restore(snapshot)
        for k in range(self.count):
            self._give(k)
        return obs


@cache
def agrees(task: str, action_repeat: int, make: Callable[[str], MujocoSingle]) -> bool:
    """Whether a few steps of two copies equal those of the installed Gymnasium bit for bit.

    The tests compare complete episodes; this guards against untested versions of Gymnasium and MuJoCo.
    """
    try:
        return _agree(task, action_repeat, make)
    except Exception:
        # another version lacks an attribute: the copies are stepped one by one
        return False


def _agree(task: str, action_repeat: int, make: Callable[[str], MujocoSingle]) -> bool:
    kinds = SyncVector, BatchedVector
    plain, together = (kind(task, [make(task) for _ in range(2)], (0, 1), action_repeat) for kind in kinds)
    with closing(plain), closing(together):
        if not (plain.exact and np.array_equal(plain.reset(), together.reset())):
            return False
        actions = np.random.default_rng(0).uniform(-1, 1, (_TRIAL, 2, plain.action_size)).astype(np.float32)
        return all(_equal(plain.step(action), together.step(action)) for action in actions)


def _equal(one: Stepped, two: Stepped) -> bool:
    names = ("obs", "next_obs", "reward", "terminal", "truncated")
    return one.finished == two.finished and all(np.array_equal(getattr(one, n), getattr(two, n)) for n in names)
