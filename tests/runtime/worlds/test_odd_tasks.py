"""Tasks of other people that do not keep to their own spaces, or that cannot be closed."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import catalogue

SPACE = spaces.Box(-1, 1, (3,), np.float32)


class Odd(gymnasium.Env):
    """Observations whose sizes are listed: one at a reset, then one a step; three where the list ends."""

    def __init__(self, sizes: tuple[int, ...] = (), closes: bool = True):
        self.observation_space, self.action_space = SPACE, spaces.Box(-1, 1, (1,), np.float32)
        self._sizes, self._closes, self._at = sizes, closes, 0

    def _next(self) -> np.ndarray:
        size = self._sizes[self._at] if self._at < len(self._sizes) else 3
        self._at += 1
        return np.zeros(size, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at = 0
        return self._next(), {}

    def step(self, action):
        return self._next(), 0.0, False, False, {}

    def close(self) -> None:
        if not self._closes:
            raise RuntimeError("the viewer is gone")


def world(**options):
    name = f"OddOne{len(gymnasium.registry)}-v0"
    gymnasium.register(name, lambda **given: Odd(**options, **given), max_episode_steps=5)
    return catalogue.make(name, 1, 0, 1)


@pytest.mark.parametrize(
    "sizes, when",
    [
        ((2,), "of 2 numbers at a reset"),
        ((1,), "of 1 numbers at a reset"),
        ((3, 3, 4), "of 4 numbers at step 2 of an episode"),
    ],
)
def test_an_observation_of_another_size_is_an_error_with_its_place(sizes: tuple[int, ...], when: str) -> None:
    odd = world(sizes=sizes)
    with pytest.raises(RunError, match=rf"FRL0404.*{when}, but its observation space has 3"):
        odd.reset()
        for _ in sizes:
            odd.step(np.zeros((1, 1)))


def test_a_task_that_cannot_be_closed_costs_nothing(capsys) -> None:
    odd = world(closes=False)
    odd.reset()
    odd.close()
    odd.close()
    assert "could not be closed (RuntimeError: the viewer is gone); nothing is lost" in capsys.readouterr().err
