"""Separate copies of a task, such as Gymnasium's and dm_control's, stepped one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from flowrl_dsl.record import Layout
from flowrl_dsl.runtime.worlds.base import FAILURES, Array, Stepped, close_quietly, seed_of
from flowrl_dsl.runtime.worlds.boundary import Boundary, Violation, origin_of
from flowrl_dsl.runtime.worlds.generators import Generators


class Single(Protocol):
    """One copy of a task, as the adapters provide it."""

    observation_size: int
    action_size: int
    exact: bool

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode; a seed resets the generator.  Returns the flat float32 observation."""
        ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """One frame with an action in [-1, 1]: observation, reward, terminal, truncated."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """All that the next step depends on, as plain values (see :mod:`flowrl_dsl.runtime.plain`)."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


S = TypeVar("S", bound=Single)


class SyncVector(Generic[S]):
    """A :class:`~flowrl_dsl.runtime.worlds.base.World` of single copies, each with its own seed.

    The global generators of random and NumPy are seeded too, with the first seed.
    """

    pure = None

    def __init__(
        self,
        task: str,
        singles: Sequence[S],
        seeds: Sequence[int],
        action_repeat: int,
        *,
        reusable: bool = False,
        source: object = None,
    ):
        """``reusable`` as in ``World``; ``source`` is an object of the class that defines the task, for messages."""
        self.task, self.reusable = task, reusable
        self._boundary = Boundary(task, origin_of(singles[0] if source is None else source))
        self._generators = Generators(seeds[0])
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

    @property
    def rescale(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Maps [-1, 1] onto the bounds of the task's actions; None if the copies have no bounds of their own."""
        return getattr(self._singles[0], "rescale", None)

    @property
    def layout(self) -> Layout | None:
        """The entries of observations that are dictionaries."""
        return getattr(self._singles[0], "layout", None)

    def reset(self) -> np.ndarray:
        self._generators.seed(self._seeds[0])
        self._returns[:] = 0
        self._lengths[:] = 0
        self._episodes[:] = 0
        self._obs = np.stack([self._reset(k, seed) for k, seed in enumerate(self._seeds)])
        return self._obs

    def step(self, actions: Array, active: np.ndarray | None = None) -> Stepped:
        next_obs = self._obs.copy()
        reward = np.zeros(self.count, np.float32)
        terminal = np.zeros(self.count, bool)
        truncated = np.zeros(self.count, bool)
        which = np.arange(self.count) if active is None else np.flatnonzero(active)
        self._generators.install()
        # a number too large for 32 bits becomes infinite, which is reported below
        with np.errstate(over="ignore"):
            self._advance(which, np.asarray(actions), next_obs, reward, terminal, truncated)
        if not (np.isfinite(next_obs).all() and np.isfinite(reward).all()):
            k = int(np.flatnonzero(~(np.isfinite(next_obs).all(axis=1) & np.isfinite(reward)))[0])
            raise self._boundary.not_finite(next_obs[k], float(reward[k]), self._place(k))
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
                self._lengths[k] += 1
                obs, reward, terminal, truncated = self._singles[k].step(action)
                total += reward
                if terminal or truncated:
                    break
            self._check(obs)
        except FAILURES as error:
            raise self._boundary.failed(error, self._place(k)) from error
        self._returns[k] += total
        return obs, total, terminal, truncated

    def _place(self, k: int) -> str:
        return f"at step {self._lengths[k]} of an episode"

    def _check(self, obs: np.ndarray) -> None:
        """Check an observation of a single copy, whose adapter may be a plugin's."""
        if np.shape(obs) != (self.observation_size,):
            expected = f"its observations are vectors of {self.observation_size}"
            raise Violation("FRL0404", f"an observation of shape {np.shape(obs)}", expected)

    def _continue(self, next_obs: np.ndarray, reward: np.ndarray, terminal: np.ndarray, truncated: np.ndarray) -> Stepped:
        done = terminal | truncated
        finished: list[tuple[float, int]] = []
        obs = next_obs
        if done.any():
            obs = next_obs.copy()
            for k in map(int, np.flatnonzero(done)):
                finished.append((float(self._returns[k]), int(self._lengths[k])))
                obs[k] = self._reset(k)
                self._returns[k] = 0
                self._lengths[k] = 0
                self._episodes[k] += 1
        self._obs = obs
        return Stepped(obs, next_obs, reward, terminal, truncated, finished)

    def _reset(self, k: int, seed: int | None = None) -> np.ndarray:
        self._generators.install()
        try:
            with np.errstate(over="ignore"):
                obs = self._singles[k].reset(seed)
            self._check(obs)
        except FAILURES as error:
            raise self._boundary.failed(error, "at a reset") from error
        if not np.isfinite(obs).all():
            raise self._boundary.not_finite(obs, 0.0, "at a reset")
        return obs

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        return self._returns.copy(), self._lengths.copy()

    def snapshot(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "obs": self._obs.copy(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "episodes": self._episodes.copy(),
            "copies": [single.snapshot() for single in self._singles] if self.exact else [],
            "generators": self._generators.snapshot() if self.exact else None,
        }

    def restore(self, snapshot: dict[str, Any]) -> np.ndarray:
        self._episodes = _fitting(snapshot["episodes"], self._episodes)
        if not self.exact:
            seeds = [seed_of(seed, int(n) + 1) for seed, n in zip(self._seeds, self._episodes, strict=True)]
            self._generators.seed(seeds[0])
            self._returns[:] = 0
            self._lengths[:] = 0
            self._obs = np.stack([self._reset(k, seed) for k, seed in enumerate(seeds)])
            return self._obs
        self._returns = _fitting(snapshot["returns"], self._returns)
        self._lengths = _fitting(snapshot["lengths"], self._lengths)
        self._obs = _fitting(snapshot["obs"], self._obs)
        for single, state in zip(self._singles, snapshot["copies"], strict=True):
            single.restore(state)
        self._generators.restore(snapshot.get("generators"))
        return self._obs

    def notices(self) -> list[str]:
        if self._generators.snapshot() is None:
            return []
        return [f"{self.task} draws from the global generators of random or NumPy, which are seeded with the run"]

    def close(self) -> None:
        for single in self._singles:
            close_quietly(self.task, single.close)


def _fitting(found: Any, like: np.ndarray) -> np.ndarray:
    """A copy of an array of a snapshot; raises ``ValueError`` if it cannot replace ``like``."""
    if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (like.shape, like.dtype):
        raise ValueError(f"expected {like.dtype}{list(like.shape)}")
    return found.copy()
