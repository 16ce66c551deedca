"""One task: points that actions push along a line.  Its buffers are written in place, as those of IsaacLab are."""

from __future__ import annotations

import os
import sys
from typing import Any

import gymnasium
import numpy as np
import torch

WALL, LIMIT = 0.6, 8
INFINITE = gymnasium.spaces.Box(-np.inf, np.inf, (1,))


class Slide(gymnasium.Env):
    """Copies end at a wall, or after ``LIMIT`` steps; those that end begin again within the step."""

    def __init__(self, cfg: Any, **others: Any):
        from isaaclab import app

        assert app.running == [cfg], "outside of the simulation"
        self.cfg, self.device, self.count = cfg, "cpu", cfg.scene.num_envs
        self.single_action_space = gymnasium.spaces.Discrete(2) if cfg.fault == "discrete" else INFINITE
        self.x, self.t = np.zeros((self.count, 1), np.float32), np.zeros((self.count, 1), np.float32)
        self._buffers = [self._made(), self._made()]
        self._reward = np.zeros(self.count, np.float32)

    def _made(self) -> dict[str, torch.Tensor]:
        sizes = {"policy": 2, "critic": 3}
        return {name: torch.Tensor(np.zeros((self.count, size), np.float32)) for name, size in sizes.items()}

    def _observed(self, number: int) -> dict[str, torch.Tensor]:
        found = self._buffers[number]
        found["policy"].array[:] = np.concatenate([self.x, self.t], axis=1)
        found["critic"].array[:] = np.concatenate([self.x, self.x**2, self.t / LIMIT], axis=1)
        return found

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.rng = np.random.default_rng(seed)
        self._begin(np.ones(self.count, bool))
        return self._observed(0), {}

    def _begin(self, which: np.ndarray) -> None:
        self.x[which, 0] = self.rng.uniform(-0.1, 0.1, which.sum())
        self.t[which] = 0

    def step(self, action: torch.Tensor) -> tuple[Any, ...]:
        fault = self.cfg.fault
        if fault == "raise" and self.t.max() == 2:
            raise ValueError("the solver diverged")
        if fault == "exit" and self.t.max() == 2:
            sys.exit("no licence")
        if fault == "die" and self.t.max() == 2:
            print("a fatal error", flush=True)
            os._exit(7)
        self.x += 0.1 * action.array
        self.t += 1
        self._reward[:] = 1 - np.abs(self.x[:, 0])
        ends, cuts = np.abs(self.x[:, 0]) > WALL, self.t[:, 0] >= LIMIT
        extras: dict[str, Any] = {}
        if (ends | cuts).any():
            assert self.cfg.compute_final_obs
            extras["final_obs"] = self._observed(0 if fault == "alias" else 1)
            self._begin(ends | cuts)
        flags = (torch.Tensor(ends), torch.Tensor(cuts))
        return self._observed(0), torch.Tensor(self._reward), *flags, extras

    def close(self) -> None:
        assert self.cfg.compute_final_obs


OWN = {"env_cfg_entry_point": "isaaclab_tasks:Cfg"}
gymnasium.register("Isaac-Slide-Direct", Slide, kwargs=OWN, disable_env_checker=True)
