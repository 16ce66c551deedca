"""Chunks of actions: what is left of those that a policy has chosen, from one step of its environments to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowrl_dsl.runtime.errors import RunError


class Chunks:
    """The chunks of h actions that ``count`` copies of a task are taking, one action a step.

    A copy is due for a new chunk where it has taken its last one to the end, or its episode has ended.  In between it does
    not look at what its actions lead to.  With h = 1 every copy is due in every step.
    """

    def __init__(self, length: int, count: int, action_size: int):
        self._actions = np.zeros((count, length, action_size), np.float32)
        self._left = np.zeros(count, np.int64)

    @classmethod
    def of(cls, program: Any, count: int) -> Chunks:
        """Those of a program that acts in ``count`` copies of its task."""
        return cls(program.chunk, count, program.action_size)

    @property
    def due(self) -> bool:
        """Whether a copy is due for a new chunk."""
        return not self._left.all()

    def take(self, chosen: Any) -> np.ndarray:
        """The next action [count, A] of every copy.

        ``chosen`` [count, h A], or [count, h, A], are new chunks, their actions in the order of time.  Those of copies that
        are due begin with this step, the others are not taken.  It may be None where no copy is due.
        """
        count, length, size = self._actions.shape
        if length == 1:
            # nothing is ever left: a step of most algorithms, on the path of every training
            return np.asarray(chosen, np.float32).reshape(count, size)
        if self.due:
            free = self._left == 0
            self._actions = np.where(free[:, None, None], np.reshape(chosen, self._actions.shape), self._actions)
            self._left[free] = length
        now = self._actions[np.arange(len(self._left)), length - self._left]
        self._left -= 1
        return now

    def end(self, done: Any) -> None:
        """Nothing is left of the chunks of copies whose episodes have ended: ``done`` [count]."""
        self._left[np.asarray(done, bool)] = 0

    def snapshot(self) -> dict[str, np.ndarray]:
        """The chunks [count, h, A], and the number [count] of actions left of each."""
        return {"actions": self._actions.copy(), "left": self._left.copy()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Continue from :meth:`snapshot`; raises FRL0413 for one of other chunks."""
        actions, left = snapshot["actions"], snapshot["left"]
        fits = actions.shape == self._actions.shape and left.shape == self._left.shape
        if not fits or left.min() < 0 or left.max() >= actions.shape[1]:
            message = f"there are {left.tolist()} actions left of chunks {list(actions.shape)}"
            raise RunError("FRL0413", message, f"expected {list(self._actions.shape)}, and fewer left than there were")
        self._actions, self._left = actions.astype(np.float32), left.astype(np.int64)
