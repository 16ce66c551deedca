"""Problems with known answers for on-policy algorithms: a bandit with several good regions, and a chain of two steps.

The bandit's reward is Q = 0.1 log p, as in :mod:`flowrl_dsl.testing.known_answers`.  In the chain the values of a policy are
expectations over one action component, so that values and advantages of any policy are known from its samples. ::

    learned = learn("ppo", Chain(), sets=("policy.network=mlp([32])",), rollouts=50)
    exact = Chain().values(learned.actions)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import jax
import numpy as np

from flowrl_dsl import driver
from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.testing.known_answers import HEIGHT
from flowrl_dsl.testing.offline_answers import state_values

ENVS = 512
"""Environments stepped side by side."""
_LONGEST = 2
"""Steps of the longest episode."""


class Problem(Protocol):
    """A few numbered states, observed as unit vectors; episodes begin in state 0, and actions are clipped to [-1, 1]."""

    states: ClassVar[int]
    action_size: ClassVar[int]

    def step(self, state: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards, whether the episode ends, and next states [n], for states [n] and actions [n, A] in [-1, 1]."""


@dataclass(frozen=True)
class Bandit:
    """One action of two components ends the episode; the reward is 0.1 log p of one of the densities."""

    shape: str
    states: ClassVar[int] = 1
    action_size: ClassVar[int] = 2

    def step(self, state: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return HEIGHT * np.asarray(known_value(a, self.shape), np.float64), np.ones(len(a), bool), state


@dataclass(frozen=True)
class Chain:
    """In state 0 an action above 0 leads to state 1, any other to state 2, without reward; the second action is the last.

    Rewards are ``1 - (a - 0.5)^2`` in state 1 and ``0.5 - (a + 0.5)^2`` in state 2: the best return is the discount.
    """

    discount: float = 0.99
    states: ClassVar[int] = 3
    action_size: ClassVar[int] = 1

    def step(self, state: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = a[:, 0]
        reward = np.choose(state, [0 * x, 1 - np.square(x - 0.5), 0.5 - np.square(x + 0.5)])
        return reward, state > 0, np.where(state > 0, state, np.where(x > 0, 1, 2))

    def values(self, actions: np.ndarray) -> np.ndarray:
        """V of the policy with these actions [states, n, 1], as many in each state: [states]."""
        found = np.zeros(self.states)
        for state in reversed(range(self.states)):
            found[state] = self._targets(np.full(len(actions[state]), state), actions[state], found).mean()
        return found

    def advantages(self, state: np.ndarray, a: np.ndarray, values: np.ndarray) -> np.ndarray:
        """A = r + discount V(s') - V(s) of actions [n, 1] in states [n], by the values of the policy [states]: [n]."""
        return self._targets(state, a, values) - values[state]

    def _targets(self, state: np.ndarray, a: np.ndarray, values: np.ndarray) -> np.ndarray:
        reward, ends, after = self.step(state, np.clip(a, -1, 1))
        return reward + self.discount * np.where(ends, 0.0, values[after])


@dataclass(frozen=True)
class Learned:
    """A trained policy by state: its actions, and those by which it is evaluated, [states, n, A]; V as learned [states].

    ``gains``: states [m], actions [m, A] and advantages [m] as the last update read them.
    """

    actions: np.ndarray
    evaluated: np.ndarray
    values: np.ndarray
    gains: tuple[np.ndarray, np.ndarray, np.ndarray]


def learn(
    spec: str, problem: Problem, *, sets: Sequence[str] = (), rollouts: int = 100, seed: int = 0, draws: int = 2000
) -> Learned:
    """Train an on-policy spec on a problem; a rollout has two steps of each of 512 environments."""
    program = _program(spec, tuple(sets), problem.states, problem.action_size)
    replay, learner, state = Replay.of(program), program.init(seed), np.zeros(ENVS, int)
    batch: Any = {}
    for count in range(rollouts):
        for step in range(_LONGEST):
            state = _stepped(program, learner, problem, replay, state, count * _LONGEST + step)
        storage = replay.view()
        if count == rollouts - 1:
            batch = {name: np.asarray(array) for name, array in jax.jit(program.draw_batch)(learner, storage).items()}
        learner, _ = program.update(learner, storage, program.data.updates, program.hyper)
    return _learned(program, learner, problem, batch, draws, rollouts * _LONGEST)


@cache
def _program(spec: str, sets: tuple[str, ...], states: int, action_size: int) -> Any:
    """One program for all problems of these sizes."""
    lengths = (f"rollout.steps={_LONGEST}", f"train.envs={ENVS}", "observe.normalize=none")
    algorithm, _ = driver.resolve_or_raise(spec, None, (*lengths, *sets))
    return driver.build_program(algorithm, states, action_size)


def _stepped(program: Any, learner: Any, problem: Problem, replay: Replay, state: np.ndarray, count: int) -> np.ndarray:
    """Act and step in every environment, and store the transitions; returns the states after it, reset where one ended."""
    seen = np.eye(problem.states, dtype=np.float32)
    acted = {k: np.asarray(v) for k, v in program.act(learner, seen[state], count, "explore", program.hyper).items()}
    reward, ends, after = problem.step(state, np.clip(acted["action"], -1, 1))
    filled = {name: acted[name] for name in replay.record if name in acted}
    replay.add(s=seen[state], a=acted["action"], r=reward, d=ends, end=ends, s_next=seen[after], **filled)
    return np.where(ends, 0, after)


def _learned(program: Any, learner: Any, problem: Problem, batch: Any, draws: int, count: int) -> Learned:
    seen = np.eye(problem.states, dtype=np.float32)

    def drawn(mode: str) -> np.ndarray:
        found = [
            program.act(learner, np.tile(row, (draws, 1)), count + k, mode, program.hyper) for k, row in enumerate(seen)
        ]
        return np.clip(np.stack([np.asarray(one["action"]) for one in found]), -1, 1)

    rows = np.resize(np.arange(problem.states), len(batch["s"]))
    values = state_values(program, learner, batch | {"s": seen[rows]})
    assert values is not None
    gains = batch["s"].argmax(axis=-1), batch["a"], batch["gain"]
    return Learned(drawn("explore"), drawn("evaluate"), values[: problem.states].astype(np.float64), gains)
