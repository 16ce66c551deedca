"""The steps of some of Gymnasium's MuJoCo tasks for many copies at once, bit for bit.

Sums, products and comparisons are computed for all copies together: NumPy sums the rows of a matrix in the same order as a
vector.  Sines, powers and norms are computed copy by copy, as in Gymnasium: a vector of another length may use other
instructions, which round differently.  The attributes are those of Gymnasium's classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Now = Callable[[str], np.ndarray]
"""A field of the simulations after the step, by name: [n, ...]."""

Seen = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Observations [n, O] (float64), rewards [n], terminal [n]."""

Formula = Callable[[Any, np.ndarray, Now, np.ndarray], Seen]
"""A function of the task, the first coordinate [n] before the step, the fields after it, and the actions [n, A]."""


def _runner(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """HalfCheetah and Swimmer: forward speed minus the control cost."""
    qpos = now("qpos")
    obs = np.concatenate((_position(task, qpos), now("qvel")), axis=1)
    return obs, _forward(task, before, qpos) - _control_cost(task, action), np.zeros(len(qpos), bool)


def _walker(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """Walker2d: the same plus a reward for staying upright; otherwise the episode ends."""
    return _upright(task, before, now, action, _inside(task._healthy_z_range, now("qpos")[:, 1]))


def _hopper(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """Hopper: as Walker2d, with bounds on all coordinates."""
    qpos, bounds = now("qpos"), task._healthy_state_range
    healthy = _inside(task._healthy_z_range, qpos[:, 1])
    healthy &= _inside(bounds, qpos[:, 2:]).all(axis=1) & _inside(bounds, now("qvel")).all(axis=1)
    return _upright(task, before, now, action, healthy)


def _upright(task: Any, before: np.ndarray, now: Now, action: np.ndarray, healthy: np.ndarray) -> Seen:
    qpos = now("qpos")
    healthy = healthy & _inside(task._healthy_angle_range, qpos[:, 2])
    obs = np.concatenate((_position(task, qpos), np.clip(now("qvel"), -10, 10)), axis=1)
    reward = _forward(task, before, qpos) + healthy * task._healthy_reward - _control_cost(task, action)
    return obs, reward, ~healthy & task._terminate_when_unhealthy


def _inverted_pendulum(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """InvertedPendulum: one per frame with an upright pole."""
    obs = np.concatenate((now("qpos"), now("qvel")), axis=1)
    terminal = ~np.isfinite(obs).all(axis=1) | (np.abs(obs[:, 1]) > 0.2)
    return obs, (~terminal).astype(np.float64), terminal


def _inverted_double_pendulum(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """InvertedDoublePendulum: a bonus while the tip is high, minus its distance from upright and the poles' speeds."""
    qpos, qvel, tip, force = now("qpos"), now("qvel"), now("site_xpos")[:, 0], now("qfrc_constraint")
    sines, cosines = _each(np.sin, qpos[:, 1:]), _each(np.cos, qpos[:, 1:])
    obs = np.concatenate((qpos[:, :1], sines, cosines, np.clip(qvel, -10, 10), np.clip(force, -10, 10)[:, :1]), axis=1)
    terminal = tip[:, 2] <= 1
    bonus = task._healthy_reward * ~terminal
    distance = [0.01 * x**2 + (y - 2) ** 2 for x, _, y in tip]
    speed = [1e-3 * v1**2 + 5e-3 * v2**2 for v1, v2 in qvel[:, 1:3]]
    return obs, bonus - np.array(distance) - np.array(speed), terminal


def _reacher(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """Reacher: the negative distance of the fingertip from its target, and the control cost."""
    qpos, there = now("qpos"), _between(task, now, "fingertip", "target")
    cosines, sines = _each(np.cos, qpos[:, :2]), _each(np.sin, qpos[:, :2])
    obs = np.concatenate((cosines, sines, qpos[:, 2:], now("qvel")[:, :2], there[:, :2]), axis=1)
    reward = -_each(np.linalg.norm, there) * task._reward_dist_weight + _effort(task, action)
    return obs, reward, np.zeros(len(qpos), bool)


def _pusher(task: Any, before: np.ndarray, now: Now, action: np.ndarray) -> Seen:
    """Pusher: the negative distances of the object from the arm and from its goal, and the control cost."""
    near = -_each(np.linalg.norm, _between(task, now, "object", "tips_arm")) * task._reward_near_weight
    far = -_each(np.linalg.norm, _between(task, now, "object", "goal")) * task._reward_dist_weight
    places = [_place(task, now, body) for body in ("tips_arm", "object", "goal")]
    obs = np.concatenate((now("qpos")[:, :7], now("qvel")[:, :7], *places), axis=1)
    return obs, far + _effort(task, action) + near, np.zeros(len(obs), bool)


def _position(task: Any, qpos: np.ndarray) -> np.ndarray:
    return qpos[:, task.observation_structure["skipped_qpos"] :]


def _forward(task: Any, before: np.ndarray, qpos: np.ndarray) -> np.ndarray:
    return task._forward_reward_weight * ((qpos[:, 0] - before) / task.dt)


def _control_cost(task: Any, action: np.ndarray) -> np.ndarray:
    return task._ctrl_cost_weight * np.sum(np.square(action), axis=1)


def _effort(task: Any, action: np.ndarray) -> np.ndarray:
    return -np.sum(np.square(action), axis=1) * task._reward_control_weight


def _inside(bounds: tuple[float, float], values: np.ndarray) -> np.ndarray:
    return (bounds[0] < values) & (values < bounds[1])


def _between(task: Any, now: Now, one: str, other: str) -> np.ndarray:
    return _place(task, now, one) - _place(task, now, other)


def _place(task: Any, now: Now, body: str) -> np.ndarray:
    return now("xpos")[:, task.model.body(body).id]


def _each(function: Callable[[np.ndarray], Any], rows: np.ndarray) -> np.ndarray:
    return np.array([function(row) for row in rows])


FORMULAS: dict[str, Formula] = {
    "HalfCheetah-v5": _runner,
    "Hopper-v5": _hopper,
    "InvertedDoublePendulum-v5": _inverted_double_pendulum,
    "InvertedPendulum-v5": _inverted_pendulum,
    "Pusher-v5": _pusher,
    "Reacher-v5": _reacher,
    "Swimmer-v5": _runner,
    "Walker2d-v5": _walker,
}
"""The formulas by task.  Ant and Humanoid read contact forces, which the batch does not compute."""
