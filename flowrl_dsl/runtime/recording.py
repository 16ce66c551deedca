"""Recording the episodes of a policy, and those in a replay, as they are stored in data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flowrl_dsl.datasets.writing import Episode, episodes_of
from flowrl_dsl.record import STEP, Record, columns
from flowrl_dsl.runtime.chunks import Chunks
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import World

# below the act counters of evaluations, far above those of a training
_FIRST_COUNTER = 2**29
_NOISE_STREAM = 0x5EED


def record(
    program: Any, state: Any, hyper: Mapping[str, Any], world: World, steps: int, noise: float = 0.0, seed: int = 0
) -> list[Episode]:
    """The episodes of ``steps`` steps of a policy in the mode ``evaluate``, those of one copy of ``world`` after another.

    To every action in [-1, 1] Gaussian ``noise`` is added, and the sum is clipped.  The steps are divided evenly among the
    copies; the last episode of each may be unfinished.  The result is a function of the state, the world and the seed.
    """
    quota = np.array([steps // world.count + (k < steps % world.count) for k in range(world.count)])
    rows: list[dict[str, np.ndarray]] = []
    obs, chunks = np.asarray(world.reset()), Chunks.of(program, world.count)
    for t in range(quota.max()):
        chosen = program.act(state, obs, _FIRST_COUNTER + t, "evaluate", hyper)["action"] if chunks.due else None
        action = chunks.take(chosen)
        if not np.isfinite(action).all():
            raise RunError("FRL0421", f"the policy produced a non-finite action at step {t} of the recording")
        if noise:
            # one generator per step: the noise does not depend on how many numbers were drawn before
            drawn = np.random.default_rng([seed, _NOISE_STREAM, t]).normal(size=action.shape)
            action = np.clip(action + noise * drawn, -1, 1).astype(np.float32)
        stepped = world.step(action, t < quota)
        chunks.end(stepped.done)
        row = {"s": obs, "a": action, "r": stepped.reward, "d": stepped.terminal, "end": stepped.done}
        rows.append({name: np.array(value) for name, value in row.items()} | {"s_next": np.array(stepped.next_obs)})
        obs = np.asarray(stepped.obs)
    stacked = {name: np.stack([row[name] for row in rows]) for name in STEP}
    parts = [{name: stacked[name][:own, k] for name in STEP} for k, own in enumerate(quota)]
    return [episode for part in parts for episode in episodes_of(**part)]


def replayed(rows: np.ndarray, total: int, envs: int, stored: Record, sizes: Mapping[str, int]) -> list[Episode]:
    """The episodes in the newest ``rows`` of a replay, of which ``total`` were ever added, for ``envs`` environments.

    A training adds a row of every environment in each step, so the rows of one environment are ``envs`` apart.
    """
    fields = columns(rows, stored, sizes)
    first = total - len(rows)
    found = []
    for k in range(envs):
        own = slice((k - first) % envs, None, envs)
        episodes = episodes_of(**{name: np.asarray(fields[name])[own] for name in STEP})
        if first and episodes:
            # its first steps have been overwritten
            episodes[0] = replace(episodes[0], whole=False)
        found += episodes
    return found
