"""Environments whose ``reset`` and ``step`` map states to states, as those of MuJoCo Playground and Brax, as dynamics.

Both simulators take actions in [-1, 1] and scale them to the bounds of their actuators themselves.  Their ``done`` is a true
end; the time limit is that of their training wrappers, which are not used here: :class:`States` counts the frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.record import Layout
from flowrl_dsl.runtime.errors import RunError

OBSERVATION = "observation"
"""The argument of a task that chooses the part of dictionary observations which the policy receives."""
POLICY_PART = "state"
"""The part that both simulators pass to the policy, where others are for the critic of a simulation alone."""


class State(Protocol):
    """What an environment returns: a tree of arrays, whose ``obs`` is one array or a dictionary of arrays."""

    obs: Any
    reward: Any
    done: Any


class Environment(Protocol):
    """One copy of an environment."""

    @property
    def action_size(self) -> int: ...

    def reset(self, rng: jax.Array) -> State: ...

    def step(self, state: Any, action: jax.Array) -> State: ...


class States:
    """The :class:`~flowrl_dsl.runtime.worlds.pure.Dynamics` of an environment with a time limit of ``frames``.

    ``part`` is the entry of dictionary observations that is usually observed; ``entries`` are observed as well.
    Raises FRL0408 for an entry that the observations lack.
    """

    def __init__(self, task: str, environment: Environment, frames: int, part: str | None, entries: Collection[str] = ()):
        self._environment, self._frames = environment, frames
        first = jax.eval_shape(environment.reset, jax.random.PRNGKey(0)).obs
        self._part, self.layout = _part(task, first, part), None
        if self._part is not None:
            sizes = {name: int(np.prod(jnp.shape(value))) for name, value in first.items()}
            observed = {name: size for name, size in sizes.items() if name == self._part or name in entries}
            self.layout = Layout.of(observed, usual=(self._part,), known=tuple(sizes))
        self.observation_size = jax.eval_shape(self._observed, first).size
        self.action_size = environment.action_size

    def init(self, key: jax.Array) -> tuple[Any, jax.Array]:
        state = self._environment.reset(key)
        return {"state": state, "frames": jnp.zeros((), jnp.int32)}, self._observed(state.obs)

    def step(self, state: Any, action: jax.Array, key: jax.Array) -> tuple[Any, jax.Array, jax.Array, jax.Array, jax.Array]:
        # environments write into the dictionaries of the state that they are given: this one gets copies
        after = self._environment.step(jax.tree.map(jnp.asarray, state["state"]), action)
        frames = state["frames"] + 1
        ends = jnp.asarray(after.done, jnp.float32) > 0.5
        return {"state": after, "frames": frames}, self._observed(after.obs), after.reward, ends, frames >= self._frames

    def _observed(self, obs: Any) -> jax.Array:
        if self.layout is None:
            return jnp.ravel(obs).astype(jnp.float32)
        parts = [jnp.ravel(obs[name]).astype(jnp.float32) for name, _ in self.layout.sizes]
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def _part(task: str, obs: Any, chosen: str | None) -> str | None:
    """The entry of the observations to observe; None for those that are one array."""
    if not isinstance(obs, Mapping):
        if chosen is not None:
            raise RunError("FRL0408", f'{task} has no argument "{OBSERVATION}"', "its observations are one vector")
        return None
    part = POLICY_PART if chosen is None else chosen
    if part not in obs:
        shapes = ", ".join(f"{name} {list(jnp.shape(value))}" for name, value in obs.items())
        hint = did_you_mean(part, obs) if chosen is not None else f"choose one: --env {OBSERVATION}={next(iter(obs))}"
        raise RunError("FRL0408", f'{task} has no observation "{part}"', f"it observes {shapes}", hint)
    return part
