"""Train every shipped spec on four tasks with three seeds and write docs/results.md: ``python docs/make_results.py``.

Runs go to ``runs/results`` and are skipped where they are finished, so the command can be interrupted and repeated.  Two
run at a time, each on one thread, which uses two cores better than one run on two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowrl_dsl.runtime.aggregate import interquartile_mean, interval

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "results"

SEEDS = (0, 1, 2)

SMALL = (
    "policy.network=mlp([64, 64], activation = mish)",
    "policy.backbone.obs=[64, 64]",
    "policy.backbone.time=fourier(16, hidden = 32)",
    "policy.sampler.steps=8",
    "critic.network=mlp([128, 128])",
    "train.batch=64",
)
FEW = "16 from {source}"
SPECS: dict[str, tuple[str, ...]] = {
    "sac": (),
    "td3": (),
    "qsm": SMALL,
    "diffusion_bptt": SMALL,
    "dpmd": (*SMALL, "weighted_regression.particles=16 from old_policy"),
    "qvpo": (*SMALL, "selection.particles=16 from policy"),
    "qsm_dpmd": (*SMALL, "weighted_regression.particles=16 from old_policy"),
}
"""What is set on the command line for each spec; sac and td3 run at their full settings."""


@dataclass(frozen=True)
class Task:
    """A task, its budget in environment steps, and the steps of uniformly random actions at the start."""

    name: str
    steps: int
    warmup: int
    action_repeat: int = 1

    @property
    def sets(self) -> tuple[str, ...]:
        return (f"train.warmup={self.warmup}", f"train.action_repeat={self.action_repeat}")


TASKS = (
    Task("InvertedPendulum-v5", 15_000, 1_000),
    Task("Reacher-v5", 15_000, 1_000),
    Task("dm_control/cartpole-swingup", 15_000, 1_000, action_repeat=2),
    Task("HalfCheetah-v5", 25_000, 5_000),
)
EVALUATE_EVERY = 2_500
