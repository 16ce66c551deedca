"""The physics of several copies of one MuJoCo model, stepped together by ``mujoco.batch.Batch``.

A batch computes the same bits as a loop over single simulations, on any number of threads.  The best number of threads
depends on the load: a step waits for its last thread, which on a busy machine may wait for a CPU a thousand times longer
than it computes.  There are therefore two batches, with one thread and with several, and periodically a few steps of each
are timed.  The choice affects only the speed of a run.
"""

from __future__ import annotations

import os
import time

import mujoco
import numpy as np
from mujoco.batch import Batch

_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_TRIAL = 4
_REVIEW = 1024

Rows = slice | np.ndarray
"""A selection of copies: ``slice(None)`` for all, which reads without copying, or their numbers."""


class Simulations:
    """``count`` simulations of a copy of ``model``.  Fields are read and written by name: ``field("qpos")[k]``."""

    def __init__(self, model: mujoco.MjModel, count: int):
        numbers = sorted({1, _threads(count)})
        # one MjData per copy, because a snapshot contains all of it
        self._batches = [Batch(model, count, number, persistent=True) for number in numbers]
        self._bound: list[dict[str, np.ndarray]] = [{} for _ in numbers]
        self._seconds = [0.0 for _ in numbers]
        self._now = 0
        self._steps = 0
        self._stepped_by = np.full(count, -1)

    def field(self, name: str) -> np.ndarray:
        """A field of all simulations as an array; those of the state can be written.  Valid until the next step."""
        bound = self._bound[self._now]
        if name not in bound:
            bound[name] = self._batches[self._now].bind(name)
        return bound[name]

    def step(self, rows: Rows, ctrl: np.ndarray, frames: int) -> None:
        """Set the controls of some copies and simulate them."""
        self._choose()
        began = time.perf_counter()
        self.field("ctrl")[rows] = ctrl
        self._batches[self._now].step(None if isinstance(rows, slice) else rows, frames)
        self._stepped_by[rows] = self._now
        self._seconds[self._now] += time.perf_counter() - began

    def _choose(self) -> None:
        """Time each batch for a few steps, then use the faster one until the next review."""
        trial, place = divmod(self._steps % _REVIEW, _TRIAL)
        self._steps += 1
        if place or trial > len(self._batches):
            return
        if trial < len(self._batches):
            self._seconds[trial] = 0.0
            self._go_on_with(trial)
        else:
            self._go_on_with(int(np.argmin(self._seconds)))

    def _go_on_with(self, batch: int) -> None:
        if batch != self._now:
            self._batches[batch].state[:] = self._batches[self._now].state
            self._now = batch

    def ahead(self) -> np.ndarray:
        """The copies stepped since their state was last read or set."""
        return np.flatnonzero(self._stepped_by >= 0)

    def take(self, k: int, data: mujoco.MjData) -> None:
        """Copy simulation ``k`` to ``data``."""
        self._batches[self._stepped_by[k]].get_data(k, data)
        self._stepped_by[k] = -1

    def give(self, k: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Set simulation ``k`` to ``data``."""
        mujoco.mj_getState(model, data, self._batches[self._now].state[k], _STATE)
        self._stepped_by[k] = -1


def _threads(count: int) -> int:
    """Half of the CPUs, because the update runs at the same time, but at least two, because it does not always."""
    cpus = len(os.sched_getaffinity(0))
    return min(count, cpus, max(2, cpus // 2))
