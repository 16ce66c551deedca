"""One-state problems with known answers: the policy that a mechanism learns from an exact critic.

The critic is ``known``: Q = height log p with several good regions.  The policy that maximises E[Q] + temperature entropy is
then ``p^(height / temperature)``, a density on [-1, 1]^2 represented exactly on a grid. ::

    learned = learn("sdac", "ring", sets=("temperature=0.1",))
    answer = Answer.of("ring", learned.sharpness)
    sliced_wasserstein(learned.actions, answer.draw(len(learned.actions), seed=0))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl import driver
from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.components.denoising import time_grid
from flowrl_dsl.components.noise_schedules.cosine import cosine_alpha
from flowrl_dsl.components.samplers.ddpm import ddpm
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.lowering.program import Program

SHAPES = ("ring", "moons", "uneven", "checkerboard")
HEIGHT = 0.1
"""Q = HEIGHT log p."""
CELLS = 100
"""Cells of the grid along each component."""
_AT_ONCE = 250
KEPT, ADDED = 4096, 512
"""Actions in the replay, and how many newest of the policy join them between two rounds of updates."""


@dataclass(frozen=True)
class Answer:
    """The density p^sharpness on a grid: cell centres [G^2, 2], their probabilities and log p [G^2]."""

    cells: np.ndarray
    probability: np.ndarray
    log_density: np.ndarray

    @staticmethod
    def of(shape: str, sharpness: float = 1.0) -> Answer:
        line = (np.arange(CELLS) + 0.5) / CELLS * 2 - 1
        cells = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        log_density = np.asarray(known_value(jnp.asarray(cells), shape), np.float64)
        return Answer(cells, np.full(len(cells), 1 / len(cells)), log_density).sharpened(sharpness)

    def sharpened(self, sharpness: float) -> Answer:
        """The density p^sharpness on the same grid."""
        weight = np.exp(sharpness * (self.log_density - self.log_density.max()))
        return replace(self, probability=weight / weight.sum())

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Independent draws [count, 2], uniform within their cells."""
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(self.cells), count, p=self.probability)
        return self.cells[rows] + rng.uniform(-1, 1, (count, 2)) / CELLS

    def expected(self) -> float:
        """E[log p] under the density."""
        return float(self.probability @ self.log_density)


def sampled_exactly(answer: Answer, count: int, steps: int = 20, seed: int = 0) -> np.ndarray:
    """Actions [count, 2] of the sampler ddpm (cosine schedule) with the exact noise prediction: the limit of learning.

    eps(a_t, t) = (a_t - alpha E[a | a_t]) / sigma, the posterior mean summed over the grid.
    """
    cells, weight = jnp.asarray(answer.cells, jnp.float32), jnp.asarray(answer.probability, jnp.float32)
    alpha = partial(cosine_alpha, s=0.008)

    def eps(a_t: jax.Array, t: jax.Array) -> jax.Array:
        kept = alpha(t)
        sigma = jnp.sqrt(1 - kept**2)
        far = jnp.square(a_t[:, None] - kept * cells).sum(-1) / (2 * sigma**2)
        return (a_t - kept * (jax.nn.softmax(jnp.log(weight) - far, axis=-1) @ cells)) / sigma

    @jax.jit
    def draw(key: jax.Array) -> jax.Array:
        prior = jax.random.normal(jax.random.fold_in(key, 0), (_AT_ONCE, 2))
        return ddpm(eps, alpha, prior, jax.random.fold_in(key, 1), time_grid(0.9946, 1e-3, steps), 1.0)

    keys = jax.random.split(jax.random.PRNGKey(seed), -(-count // _AT_ONCE))
    return np.concatenate([np.asarray(draw(key)) for key in keys])[:count]


def centres(shape: str) -> np.ndarray:
    """The centres of the good regions: [regions, 2]."""
    if shape == "ring":
        angle = 2 * np.pi * np.arange(8) / 8
        return 0.7 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    if shape == "uneven":
        return np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    if shape == "moons":
        angle = np.pi * np.arange(13) / 12
        arc = 0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        aside = np.array([0.25, 0.15])
        return np.concatenate([arc - aside, aside - arc])
    line = np.array([-0.75, -0.25, 0.25, 0.75])
    return np.array([[x, y] for x in line for y in line if np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y) > 0])


def coverage(actions: np.ndarray, answer: Answer, shape: str) -> float:
    """The fraction of good regions with at least half of their share of the actions (assigned to the nearest centre)."""
    middles = centres(shape)
    wanted = np.bincount(_nearest(answer.cells, middles), answer.probability, len(middles))
    found = np.bincount(_nearest(actions, middles), minlength=len(middles)) / len(actions)
    return float(np.mean(found >= wanted / 2))


def _nearest(points: np.ndarray, middles: np.ndarray) -> np.ndarray:
    return np.argmin(((points[:, None] - middles) ** 2).sum(-1), axis=1)


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, directions: int = 64) -> float:
    """Mean over directions of the 1-Wasserstein distance between the projections of two equally large samples [n, 2]."""
    angle = np.pi * (np.arange(directions) + 0.5) / directions
    axes = np.stack([np.cos(angle), np.sin(angle)])
    return float(np.abs(np.sort(x @ axes, axis=0) - np.sort(y @ axes, axis=0)).mean())


@dataclass(frozen=True)
class Learned:
    """Actions drawn from a trained policy [n, 2], and the sharpness of its target density."""

    actions: np.ndarray
    sharpness: float


def learn(
    spec: str,
    shape: str,
    *,
    sets: Sequence[str] = (),
    updates: int = 4000,
    seed: int = 0,
    draws: int = 2000,
    exact: bool = True,
    observation: float = 1.0,
) -> Learned:
    """Train a spec on the single state with the exact Q; the replay holds uniform actions and a growing share of its own.

    If the critic is the policy, an exact critic leaves nothing to train.  With ``exact`` false, the critic learns Q from
    rewards equal to Q, on uniform actions only, so that it does not forget unvisited actions.

    The state is observed as ``observation``.  A new network has zero biases and maps 0 to the action 0, a saddle of the
    checkerboard, where a deterministic policy would stay.
    """
    sets = (*[f"critic.kind=known({shape}, height = {HEIGHT})"][: int(exact)], "act.explore=sample", *sets)
    algorithm, _ = driver.resolve_or_raise(spec, None, sets)
    program = driver.build_program(algorithm, 1, 2, capacity=KEPT)
    hyper, state = program.hyper, program.init(seed)
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (KEPT, 2)).astype(np.float32)
    for start in range(0, updates, 250):
        state, _ = program.update(state, _replay(actions, shape, observation), min(250, updates - start), hyper)
        seen = np.full((ADDED, 1), observation, np.float32)
        own = np.asarray(program.act(state, seen, start, "explore", hyper)["action"])
        actions = np.concatenate([actions[ADDED:], own if exact else rng.uniform(-1, 1, own.shape).astype(np.float32)])
    drawn = program.act(state, np.full((draws, 1), observation, np.float32), updates, "explore", hyper)["action"]
    temperature = _temperature(program, state, _replay(actions, shape, observation), hyper)
    return Learned(np.asarray(drawn), HEIGHT / temperature if temperature else 1.0)


def _replay(actions: np.ndarray, shape: str, observation: float) -> dict[str, Any]:
    rows = len(actions)
    r, ones = HEIGHT * known_value(actions, shape), np.ones(rows, np.float32)
    s = np.full((rows, 1), observation, np.float32)
    counts = {"size": np.int32(rows), "total": np.int32(rows)}
    return jax.tree.map(jnp.asarray, {"s": s, "a": actions, "r": r, "d": ones, "end": ones, "s_next": s, **counts})


def _temperature(program: Program, state: Any, replay: Any, hyper: dict[str, float]) -> float | None:
    """The divisor of the algorithm's values: a let called ``scale``, else the parameter ``temperature``."""
    found: dict[str, float] = {}

    def look(node: Any, value: Any) -> None:
        if node.name.endswith(".scale"):
            found["scale"] = float(np.mean(value))

    inputs = program.step_inputs(state, program.draw_batch(state, replay), hyper)
    interpret(program.graphs["step"], inputs, look)
    return found.get("scale", hyper.get("temperature"))
