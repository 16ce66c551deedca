"""One-state problems with known answers for offline algorithms: actions of a known density mu, and a known Q.

mu is one of the densities of :mod:`flowrl_dsl.testing.known_answers` and Q = height log p of another one, both exact on a
grid.  State values are then solutions of one-dimensional equations, and a weighted imitation has the density mu w / Z. ::

    problem = Problem("ring", "uneven", 0.3)
    learned = learn("iql", problem, sets=("policy.backbone=diffusion", "policy.sampler=ddpm(20)"))
    learned.value, expectile(problem, 0.7)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl import driver
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.components.inspection import noisy_values_graph
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.testing.known_answers import Answer

ROWS = 20_000
"""Actions in the data set."""
_HALVINGS = 60


@dataclass(frozen=True)
class Problem:
    """Actions of the density ``data``, and Q = ``height`` log p of the density ``values``."""

    data: str
    values: str
    height: float

    @cached_property
    def behaviour(self) -> Answer:
        """mu on the grid."""
        return Answer.of(self.data)

    @property
    def share(self) -> np.ndarray:
        """The probability of each cell under mu: [G^2]."""
        return self.behaviour.probability

    @cached_property
    def q(self) -> np.ndarray:
        """Q at the centre of each cell: [G^2]."""
        return self.q_at(self.behaviour.cells)

    def q_at(self, actions: np.ndarray) -> np.ndarray:
        """Q of actions [n, 2]: [n]."""
        return self.height * np.asarray(known_value(jnp.asarray(actions), self.values), np.float64)

    def value(self, actions: jax.Array) -> jax.Array:
        """Q of actions, to differentiate."""
        found: jax.Array = self.height * known_value(actions, self.values)
        return found

    def weighted(self, weight: np.ndarray) -> Answer:
        """The density mu w / Z of an imitation with the weights [G^2]."""
        share = self.share * weight
        return replace(self.behaviour, probability=share / share.sum())


def root(residual: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a function that decreases from a positive to a negative value between ``low`` and ``high``."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if residual(middle) > 0 else (low, middle)
    return (low + high) / 2


def expectile(problem: Problem, tau: float) -> float:
    """V with tau E[(Q - V)+] = (1 - tau) E[(V - Q)+] under mu (iql)."""
    q, share = problem.q, problem.share

    def residual(v: float) -> float:
        return float(share @ (tau * np.maximum(q - v, 0) - (1 - tau) * np.maximum(v - q, 0)))

    return root(residual, q.min(), q.max())


def sparse(problem: Problem, alpha: float) -> float:
    """V with E[max(1 + (Q - V) / (2 alpha), 0)] = 1 under mu (sql)."""
    q, share = problem.q, problem.share

    def residual(v: float) -> float:
        return float(share @ np.maximum(1 + (q - v) / (2 * alpha), 0)) - 1

    return root(residual, q.min(), q.max())


def exponential(problem: Problem, alpha: float) -> float:
    """V = alpha log E[exp(Q / alpha)] under mu (eql, bdpo)."""
    top = problem.q.max()
    return float(top + alpha * np.log(problem.share @ np.exp((problem.q - top) / alpha)))


def best_among(problem: Problem, proposed: np.ndarray) -> np.ndarray:
    """The best [n, 2] of each row of proposals [n, N, 2]."""
    q = problem.q_at(proposed.reshape(-1, 2)).reshape(proposed.shape[:2])
    return proposed[np.arange(len(proposed)), q.argmax(axis=1)]


def best_of(problem: Problem, count: int, draws: int, seed: int) -> np.ndarray:
    """Draws [n, 2] of the law of the best of ``count`` actions of mu (idql)."""
    return best_among(problem, problem.behaviour.draw(draws * count, seed).reshape(draws, count, 2))


def gaussian(target: Answer, draws: int, seed: int) -> np.ndarray:
    """Draws [n, 2] of the Gaussian of greatest likelihood under a density, clipped to [-1, 1] as actions are."""
    mean = target.probability @ target.cells
    std = np.sqrt(target.probability @ (target.cells - mean) ** 2)
    return np.clip(np.random.default_rng(seed).normal(mean, std, (draws, 2)), -1, 1)


def energy(problem: Problem, beta: float, noisy: np.ndarray, alpha: float) -> np.ndarray:
    """log E[exp(beta Q(a)) | a_t] at noisy actions [n, 2] (qgpo): a of mu, a_t = alpha a + sqrt(1 - alpha^2) noise."""
    cells, variance = problem.behaviour.cells, 1 - alpha**2
    far = np.square(noisy[:, None] - alpha * cells).sum(axis=-1)
    weight = np.log(np.maximum(problem.share, 1e-300)) - far / (2 * variance)
    return logsumexp(weight + beta * problem.q) - logsumexp(weight)


def logsumexp(x: np.ndarray) -> np.ndarray:
    """log sum_j exp(x_ij)."""
    top = x.max(axis=1)
    found: np.ndarray = top + np.log(np.exp(x - top[:, None]).sum(axis=1))
    return found


@dataclass(frozen=True)
class Learned:
    """Actions [n, 2] of the trained policy in the mode ``evaluate``, and V of the state; None without state values.

    ``noisy`` computes values of noisy actions [n, 2] at a time, if the algorithm has any.
    """

    actions: np.ndarray
    value: float | None
    noisy: Callable[[np.ndarray, float], np.ndarray] | None = None


def learn(
    spec: str, problem: Problem, *, sets: Sequence[str] = (), updates: int = 5000, seed: int = 0, draws: int = 2000
) -> Learned:
    """Train an offline spec on the single state, observed as 1, with the exact Q; rewards are 0 and nothing bootstraps."""
    exact = f"critic.kind=known({problem.values}, height = {problem.height})"
    known = "critic" in driver.resolve_or_raise(spec, None, ())[0].sections
    algorithm, _ = driver.resolve_or_raise(spec, None, (*[exact][: int(known)], *sets))
    program = driver.build_program(algorithm, 1, 2, capacity=ROWS, data=True)
    state, hyper = program.init(seed), program.hyper
    storage = _storage(problem, beside_replay=program.data.source.keeps_data)
    for start in range(0, updates, 1000):
        state, _ = program.update(state, storage, min(1000, updates - start), hyper)
    actions = program.act(state, np.ones((draws, 1), np.float32), updates, "evaluate", hyper)["action"]
    return Learned(np.asarray(actions), _value(program, state, storage), _noisy_values(algorithm, state))


def _storage(problem: Problem, beside_replay: bool) -> dict[str, Any]:
    """The data set on the device, alone or beside an empty replay."""
    ones = np.ones(ROWS, np.float32)
    s = ones[:, None]
    actions = problem.behaviour.draw(ROWS, seed=1).astype(np.float32)
    counts = {"size": np.int32(ROWS), "total": np.int32(ROWS)}
    rows = {"s": s, "a": actions, "r": 0 * ones, "d": ones, "end": ones, "s_next": s}
    data = jax.tree.map(jnp.asarray, rows | counts)
    return data | {"size": jnp.int32(0), "total": jnp.int32(0), "data": data} if beside_replay else data


def _noisy_values(algorithm: Algorithm, state: Any) -> Callable[[np.ndarray, float], np.ndarray] | None:
    """V_t of the first section with values of noisy actions, as a function of noisy actions and a time; None without one."""
    owner = next((name for name, section in algorithm.sections.items() if section.name == "noisy_value"), None)
    if owner is None:
        return None
    graph = noisy_values_graph(algorithm, Sizes(1, 2), owner)

    def values(noisy: np.ndarray, t: float) -> np.ndarray:
        inputs = {f"state.{name}": value for name, value in state.items()}
        given = {"obs": np.ones((len(noisy), 1)), "action": noisy, "t": np.full(len(noisy), t)}
        inputs |= {name: jnp.asarray(x, jnp.float32) for name, x in given.items()}
        return np.asarray(interpret(graph, inputs)["value"])

    return values


def _value(program: Any, state: Any, storage: dict[str, Any]) -> float | None:
    """V(s) as the next update reads it."""
    values = state_values(program, state, program.draw_batch(state, storage))
    return None if values is None else float(values.mean())


def state_values(program: Any, state: Any, batch: Any) -> np.ndarray | None:
    """The first V(s) [batch] of an update on a batch; None for an algorithm without state values."""
    nodes = program.graphs["step"].nodes
    names = [name for name, node in nodes.items() if node.op == "Predict" and name.rpartition(".")[2] == "v"]
    if not names:
        return None
    read: set[str] = set()
    waiting = names[:1]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in read:
            read.add(name)
            waiting += nodes[name].inputs
    part = replace(
        program.graphs["step"],
        nodes={name: node for name, node in nodes.items() if name in read},
        outputs={"value": names[0]},
    )
    return np.asarray(interpret(part, program.step_inputs(state, batch, program.hyper))["value"])
