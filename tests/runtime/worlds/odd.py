"""Tasks that each break one expectation, in the way of tasks written at home: a leaky tank that should stay half full."""

from __future__ import annotations

import random
import sys
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

LIMIT = 8


class Tank(gymnasium.Env):
    """Keeps every rule; the others change one method or attribute."""

    observation_space: Any = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space: Any = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, leak: float = 0.1, tilt: tuple[float, float] = (0.0, 0.0), *, lid: bool = True, kind: str = "round"):
        if leak < 0:
            raise ValueError(f"a tank cannot leak {leak}")
        self.leak, self.tilt, self.lid, self.kind = leak, tilt, lid, kind

    def observed(self) -> Any:
        return np.array([self.level, self.t / LIMIT, 1.0], np.float32)

    def rewarded(self) -> Any:
        return -abs(self.level - 0.5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.level, self.t = float(self.np_random.uniform(0.2, 0.8)), 0
        return self.observed(), {}

    def step(self, action) -> Any:
        assert self.action_space.contains(action), "the action lies outside of its space"
        self.t += 1
        self.level += 0.1 * float(np.sum(action)) - self.leak * self.level
        return self.observed(), self.rewarded(), not -5 < self.level < 5, False, {}


class ReusedArray(Tank):
    def observed(self) -> Any:
        self.array = getattr(self, "array", np.zeros(3, np.float32))
        self.array[:] = self.level, self.t, 1
        return self.array


class WritesOnActions(Tank):
    def step(self, action) -> Any:
        result = super().step(action)
        action[...] = 77
        return result


class UnevenBounds(Tank):
    action_space = spaces.Box(np.float32([-0.2, 5, -2000, 0.3]), np.float32([0.1, 6, 1e-3, 0.3 + 1e-6]), dtype=np.float32)


class NothingToChoose(Tank):
    action_space = spaces.Box(np.float32([0.25]), np.float32([0.25]), dtype=np.float32)


class Picture(Tank):
    observation_space = spaces.Box(0, 255, (1, 1, 3), np.uint8)

    def observed(self) -> Any:
        return np.full((1, 1, 3), int(50 * abs(self.level)) % 256, np.uint8)


class OneNumber(Tank):
    observation_space = spaces.Box(-np.inf, np.inf, (), np.float32)

    def observed(self) -> Any:
        return np.float32(self.level)


class Composite(Tank):
    observation_space = spaces.Dict(
        {"level": spaces.Box(-9, 9, (1,), np.float64), "valve": spaces.Tuple((spaces.Discrete(2, start=3),))}
    )

    def observed(self) -> Any:
        return {"valve": (4,), "level": np.array([self.level])}


class OneStep(Tank):
    def step(self, action) -> Any:
        return (*super().step(action)[:3], True, {})


class OwnClock(Tank):
    def step(self, action) -> Any:
        return (*super().step(action)[:3], np.bool_(self.t >= 5), {})


class CannotClose(Tank):
    def close(self) -> None:
        raise RuntimeError("the viewer is gone")


class GlobalDraws(Tank):
    def step(self, action) -> Any:
        self.level += 0.1 * np.random.randn() + 0.1 * random.random()
        return super().step(action)


class FewNumbers(Tank):
    def observed(self) -> Any:
        return np.array([self.level, 0], np.float32)


class Broadcastable(Tank):
    def observed(self) -> Any:
        return np.array([self.level], np.float32)


class Grows(Tank):
    def observed(self) -> Any:
        return np.zeros(3 + (self.t > 2), np.float32)


class Nothing(Tank):
    observation_space = spaces.Box(-1, 1, (0,), np.float32)


class NoSpace(Tank):
    observation_space = None


class NotANumber(Tank):
    def observed(self) -> Any:
        return np.array([self.level, np.nan if self.t == 3 else 0, 1], np.float32)


class NotANumberAtReset(Tank):
    def observed(self) -> Any:
        return np.array([np.inf, 0, 1], np.float32)


class TooLarge(Tank):
    def observed(self) -> Any:
        return np.array([self.level, 0, 1e300])


class OldReset(Tank):
    def reset(self, *, seed=None, options=None) -> Any:
        return super().reset(seed=seed)[0]


class OldStep(Tank):
    def step(self, action) -> Any:
        return (*super().step(action)[:3], {})


class ListedReward(Tank):
    def rewarded(self) -> Any:
        return np.array([-1.0])


class NoReward(Tank):
    def rewarded(self) -> Any:
        return None


class InfiniteReward(Tank):
    def rewarded(self) -> Any:
        return 1e300


class NoEnd(Tank):
    def step(self, action) -> Any:
        return (*super().step(action)[:2], None, False, {})


class Leaves(Tank):
    def step(self, action) -> Any:
        return sys.exit("no licence") if self.t == 4 else super().step(action)


class OnlyOne(Tank):
    alive: ClassVar[list[object]] = []

    def __init__(self, **options: Any):
        super().__init__(**options)
        if self.alive:
            raise OSError("the port is in use")
        self.alive.append(self)

    def close(self) -> None:
        self.alive.remove(self)


def normalized(**options: Any) -> gymnasium.Env:
    """An entry point with wrappers that keep moments across episodes."""
    inner = gymnasium.wrappers.TimeLimit(Tank(**options), LIMIT)
    return gymnasium.wrappers.NormalizeReward(gymnasium.wrappers.NormalizeObservation(inner))


def named(entry: Any) -> str:
    """The id of a task with this entry point, with a time limit of :data:`LIMIT` frames."""
    task = f"odd/{entry.__name__}-v0"
    if task not in gymnasium.registry:
        gymnasium.register(task, entry_point=entry, max_episode_steps=None if entry is normalized else LIMIT)
    return task
