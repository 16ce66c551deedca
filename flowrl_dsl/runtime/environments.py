"""Several copies of one task stepped together, with the semantics that value learning needs.

- SAME_STEP autoreset: a finished episode is followed at once by the first observation of the next one.
- ``next_obs`` is the observation that really followed the action, never that of the next episode.
- ``terminal`` is a true end; reaching a time limit is ``truncated`` and values bootstrap through it.
- Actions are in [-1, 1] and rescaled to the task's bounds; observations are flat float32.
- Snapshots: where :attr:`Environments.exact` holds, a restored copy continues bit for bit.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.mujoco_formulas import FORMULAS

DM_CONTROL = "dm_control/"
# MuJoCo writes 1e10 where there is no bound
_UNBOUNDED = 1e9


class Single(Protocol):
    """One copy of a task, as the adapters provide it."""

    observation_size: int
    action_size: int
    exact: bool

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begin an episode; a seed starts the generator anew.  Returns the flat float32 observation."""
        ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """One frame with an action in [-1, 1]: observation, reward, terminal, truncated."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """All that the next step depends on, as plain values (see :mod:`flowrl_dsl.runtime.plain`)."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Stepped:
    """What one step of all copies gave; ``obs`` is where to act next, ``finished`` holds (return, length) in frames."""

    obs: np.ndarray
    next_obs: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    truncated: np.ndarray
    finished: list[tuple[float, int]]

    @property
    def done(self) -> np.ndarray:
        return self.terminal | self.truncated


class Environments:
    """``count`` copies of a task.  ``exact`` says whether :meth:`restore` continues bit for bit."""

    def __init__(self, task: str, singles: Sequence[Single], seeds: Sequence[int], action_repeat: int):
        self.task = task
        self._singles = list(singles)
        self._seeds = list(seeds)
        self._repeat = action_repeat
        self.count = len(self._singles)
        self.observation_size = self._singles[0].observation_size
        self.action_size = self._singles[0].action_size
        self.exact = all(single.exact for single in self._singles)
        self._returns = np.zeros(self.count)
        self._lengths = np.zeros(self.count, np.int64)
        self._episodes = np.zeros(self.count, np.int64)
        self._obs = np.zeros((self.count, self.observation_size), np.float32)

    def reset(self) -> np.ndarray:
        """Start every copy anew from its own seed; the same seeds give the same episodes."""
        self._returns[:] = 0
        self._lengths[:] = 0
        self._episodes[:] = 0
        self._obs = np.stack([self._reset(k, seed) for k, seed in enumerate(self._seeds)])
        return self._obs

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> Stepped:
        """Step every copy with its row of ``actions`` [count, action] in [-1, 1]; those not ``active`` stand still."""
        next_obs = self._obs.copy()
        reward = np.zeros(self.count, np.float32)
        terminal = np.zeros(self.count, bool)
        truncated = np.zeros(self.count, bool)
        which = np.arange(self.count) if active is None else np.flatnonzero(active)
        self._advance(which, actions, next_obs, reward, terminal, truncated)
        if not (np.isfinite(next_obs).all() and np.isfinite(reward).all()):
            raise RunError("FRL0406", f"{self.task} gave an observation or a reward that is not finite")
        return self._continue(next_obs, reward, terminal, truncated)

    def _advance(
        self,
        which: np.ndarray,
        actions: np.ndarray,
        obs: np.ndarray,
        reward: np.ndarray,
        terminal: np.ndarray,
        truncated: np.ndarray,
    ) -> None:
        """Step the copies ``which`` and write their rows of the last four arguments."""
        for k in which:
            obs[k], reward[k], terminal[k], truncated[k] = self._step(k, actions[k])

    def _step(self, k: int, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        total = 0.0
        try:
            for _ in range(self._repeat):
                obs, reward, terminal, truncated = self._singles[k].step(action)
                total += reward
                self._lengths[k] += 1
                if terminal or truncated:
                    break
        except Exception as error:
            # the task is foreign code: whatever it raises is reported as its failure, not as a crash of ours
            raise broken(self.task, error) from error
        self._returns[k] += total
        return obs, total, terminal, truncated

    def _continue(self, next_obs: np.ndarray, reward: np.ndarray, terminal: np.ndarray, truncated: np.ndarray) -> Stepped:
        done = terminal | truncated
        finished: list[tuple[float, int]] = []
        obs = next_obs
        if done.any():
            obs = next_obs.copy()
            for k in np.flatnonzero(done):
                finished.append((float(self._returns[k]), int(self._lengths[k])))
                obs[k] = self._reset(k)
                self._returns[k] = 0
                self._lengths[k] = 0
                self._episodes[k] += 1
        self._obs = obs
        return Stepped(obs, next_obs, reward, terminal, truncated, finished)

    def _reset(self, k: int, seed: int | None = None) -> np.ndarray:
        try:
            return self._singles[k].reset(seed)
        except Exception as error:
            # foreign code, as above
            raise broken(self.task, error) from error

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns and lengths so far of the episodes under way."""
        return self._returns.copy(), self._lengths.copy()

    def snapshot(self) -> dict[str, Any]:
        """Plain values from which :meth:`restore` continues."""
        return {
            "task": self.task,
            "obs": self._obs.copy(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "episodes": self._episodes.copy(),
            "copies": [single.snapshot() for single in self._singles] if self.exact else [],
        }

    def restore(self, snapshot: dict[str, Any]) -> np.ndarray:
        """Continue from a snapshot; where the task is not exact, begin a fresh episode in every copy.

        A fresh episode's seed depends on the snapshot only, so that resuming twice gives the same run twice.
        """
        self._episodes = snapshot["episodes"].copy()
        if not self.exact:
            seeds = [seed_of(seed, int(n) + 1) for seed, n in zip(self._seeds, self._episodes, strict=True)]
            self._returns[:] = 0
            self._lengths[:] = 0
            self._obs = np.stack([self._reset(k, seed) for k, seed in enumerate(seeds)])
            return self._obs
        self._returns = snapshot["returns"].copy()
        self._lengths = snapshot["lengths"].copy()
        self._obs = snapshot["obs"].copy()
        for single, state in zip(self._singles, snapshot["copies"], strict=True):
            single.restore(state)
        return self._obs

    def close(self) -> None:
        for single in self._singles:
            single.close()


def broken(task: str, error: Exception) -> RunError:
    """FRL0405 for an exception that a task raised, with the place where it did."""
    if isinstance(error, RunError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f"raised at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return RunError("FRL0405", f"{task} failed: {type(error).__name__}: {error}", place)


def seed_of(seed: int, k: int) -> int:
    """The seed of copy ``k`` while training: below 2³¹, where no evaluation seed is."""
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0] >> 1)


def evaluation_seed(k: int) -> int:
    """The seed of evaluation episode ``k``: the same in every run, and never a training seed."""
    return 2**31 + k


def make(task: str, count: int, seed: int, action_repeat: int = 1, *, evaluation: bool = False) -> Environments:
    """``count`` copies of a Gymnasium task or of ``dm_control/DOMAIN-TASK``.

    Several are stepped together where that gives the same bits (:mod:`flowrl_dsl.runtime.batched`).

    Raises :class:`RunError` for an unknown task, and for spaces that a continuous policy cannot serve.
    """
    if task.startswith(DM_CONTROL):
        from flowrl_dsl.runtime.dm_control_env import DmControlEnv as Adapter
    else:
        from flowrl_dsl.runtime.gymnasium_env import GymnasiumEnv as Adapter
    seeds = [evaluation_seed(k) if evaluation else seed_of(seed, k) for k in range(count)]
    singles = [Adapter(task, seed) for seed in seeds]
    if count > 1 and task in FORMULAS:
        # mujoco takes long to import: only tasks that use it pay
        from flowrl_dsl.runtime import batched

        if batched.agrees(task, action_repeat):
            return batched.BatchedEnvironments(task, singles, seeds, action_repeat)
    return Environments(task, singles, seeds, action_repeat)


def sizes(task: str) -> tuple[int, int]:
    """Observation and action size of a task."""
    environments = make(task, 1, 0)
    environments.close()
    return environments.observation_size, environments.action_size


class Rescale:
    """Maps [-1, 1] onto the box [low, high]; a box of [-1, 1] keeps every bit."""

    def __init__(self, task: str, low: np.ndarray, high: np.ndarray, dtype: Any):
        low, high = np.ravel(low).astype(np.float64), np.ravel(high).astype(np.float64)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (np.abs(high - low) < _UNBOUNDED).all()):
            raise RunError(
                "FRL0403",
                f"{task} has actions without finite bounds",
                f"lowest {low.tolist()}, highest {high.tolist()}",
                "actions in [-1, 1] are rescaled to the bounds: wrap the task so that it has finite ones",
            )
        self._center, self._half = (high + low) / 2, (high - low) / 2
        self._low, self._high, self._dtype = low, high, dtype

    def __call__(self, action: np.ndarray) -> np.ndarray:
        scaled = self._center + self._half * action
        return np.clip(scaled, self._low, self._high).astype(self._dtype)
