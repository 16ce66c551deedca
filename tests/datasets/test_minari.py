"""Data sets that Minari itself collects are read as Minari reads them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium import spaces

from flowrl_dsl.datasets import load


class Walk(gymnasium.Env):
    """A walk with observations of several parts, which ends at 2 and is cut after four steps."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-9, 9, (2, 2), np.float32),
            "goal": spaces.Tuple([spaces.Box(0, 1, (), np.float64), spaces.Box(0, 9, (1,), np.float32)]),
        }
    )
    action_space = spaces.Box(np.array([-1, 0], np.float32), np.array([3, 2], np.float32))

    def _observed(self) -> dict[str, Any]:
        place = np.array([[self.x, self.t], [1, 2]], np.float32)
        return {"place": place, "goal": (np.array(0.5), np.array([self.x], np.float32))}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict]:
        super().reset(seed=seed)
        self.x, self.t = 0.0, 0
        return self._observed(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict]:
        self.x, self.t = self.x + float(action[1]) / 2, self.t + 1
        return self._observed(), self.x, self.x >= 2, self.t == 4, {}


@pytest.fixture
def collected(tmp_path: Path, monkeypatch) -> minari.MinariDataset:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(Walk())
    env.action_space.seed(0)
    for seed in range(6):
        env.reset(seed=seed)
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            done = terminated or truncated
    with warnings.catch_warnings():
        # about authors and the like
        warnings.simplefilter("ignore")
        made = env.create_dataset("tests/walk-v0")
    env.close()
    return made


def _flat(space: spaces.Space, episode: minari.EpisodeData) -> np.ndarray:
    parts, count = episode.observations, len(episode.rewards) + 1
    rows = [
        {"place": parts["place"][t], "goal": (parts["goal"][0][t], parts["goal"][1][t])}  # type: ignore[index, call-overload]
        for t in range(count)
    ]
    return np.stack([spaces.flatten(space, row) for row in rows]).astype(np.float32)


def test_the_library_and_the_reader_agree(collected: minari.MinariDataset) -> None:
    data, episodes = load("tests/walk-v0"), list(collected)
    observed = [_flat(collected.observation_space, episode) for episode in episodes]
    np.testing.assert_array_equal(data.s, np.concatenate([seen[:-1] for seen in observed]))
    np.testing.assert_array_equal(data.s_next, np.concatenate([seen[1:] for seen in observed]))
    np.testing.assert_array_equal(data.r, np.concatenate([episode.rewards for episode in episodes]).astype(np.float32))
    np.testing.assert_array_equal(data.d, np.concatenate([episode.terminations for episode in episodes]))
    ends = np.concatenate([episode.terminations | episode.truncations for episode in episodes])
    np.testing.assert_array_equal(data.end, ends)
    assert 0 < data.d.sum() < data.end.sum() == 6 == len(data.episodes.returns)
    actions = np.concatenate([episode.actions for episode in episodes])
    np.testing.assert_allclose(data.a, actions / [2, 1] - [0.5, 1], atol=1e-6)
    assert (data.low.tolist(), data.high.tolist()) == ([-1, 0], [3, 2])
