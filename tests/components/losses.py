"""The loss of one improvement block on a tiny problem, interpreted, beside its inputs in float64; and tiny backbones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests import reference
from tests.helpers import Seen, batch, component, loss_of, policy, random_state, scalar

DATA = batch(3)
ROWS = reference.f64(DATA)


def run(alg: Any, seed: int = 4, gradient: bool = False) -> tuple[Seen, Any]:
    """All values of the interpreted loss, and the parameters it read."""
    state = random_state(alg, seed)
    params = {k: v for k, v in state.items() if k != "key" and not k.endswith("_opt")}
    return loss_of(alg, state, DATA, gradient=gradient), reference.f64(params)


def f64(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)


EDM_DATA = 0.4


def small_time() -> Any:
    return component("embedding", "fourier", size=4, hidden=4)


def flow(**options: Any) -> Any:
    return component("backbone", "flow", time=small_time(), obs=(4, 4), **options)


def edm_policy(clip: float | None = 1.0) -> Any:
    """An EDM policy whose sampler takes 3 steps from level 4 to level 0.05, with rho = 3."""
    levels = {"sigma_min": 0.05, "sigma_max": 4.0, "sigma_data": EDM_DATA, "p_mean": -0.5, "p_std": 0.8}
    backbone = component("backbone", "edm", time=small_time(), obs=(4, 4), **levels)
    bound = None if clip is None else scalar("policy.sampler.clip", clip)
    return policy(backbone, sampler=component("sampler", "edm_heun", steps=3, rho=3.0, clip=bound))
