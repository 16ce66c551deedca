"""Worlds that are pure functions of JAX arrays: their episodes, and copies of them stepped together on the device.

A plugin adds one by a kind whose ``make`` returns ``PureVector(task, dynamics, seeds, action_repeat)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import Array, Episode, Stepped
from flowrl_dsl.runtime.worlds.boundary import Boundary, Violation, origin_of


class Dynamics(Protocol):
    """One copy of a world as two pure functions; nothing in them resets a finished episode.

    ``state`` is a tree of numeric arrays whose shapes and types stay the same; it contains the time, where there is a limit.
    """

    observation_size: int
    action_size: int

    def init(self, key: jax.Array) -> tuple[Any, jax.Array]:
        """The state and the observation [O] at the beginning of an episode."""
        ...

    def step(self, state: Any, action: jax.Array, key: jax.Array) -> tuple[Any, jax.Array, jax.Array, jax.Array, jax.Array]:
        """One frame with an action [A] in [-1, 1]: state, observation [O], reward [], terminal [], truncated []."""
        ...


class Episodes:
    """Episodes of ``dynamics``, one after the other: a :class:`~flowrl_dsl.runtime.worlds.base.Pure`."""

    def __init__(self, dynamics: Dynamics, action_repeat: int):
        self._dynamics, self._repeat = dynamics, action_repeat

    def init(self, key: jax.Array) -> Episode:
        state, obs = self._dynamics.init(key)
        zero, none = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32)
        return Episode(jax.tree.map(jnp.asarray, state), jnp.asarray(obs, jnp.float32), zero, none, zero, none)

    def step(
        self, episode: Episode, action: jax.Array, key: jax.Array
    ) -> tuple[Episode, jax.Array, jax.Array, jax.Array, jax.Array]:
        frames, reset = jax.random.split(key)
        after = self._frames(episode, action, frames)
        total, length = episode.total + after.reward, episode.length + after.frames
        going = Episode(after.state, after.obs, total, length, episode.last_total, episode.last_length)
        fresh = self.init(reset)._replace(last_total=total, last_length=length)
        over = after.terminal | after.truncated
        return _select(over, fresh, going), after.obs, after.reward, after.terminal, after.truncated

    def _frames(self, episode: Episode, action: jax.Array, key: jax.Array) -> _Frames:
        """The frames of one action, until the episode is over."""

        def frame(number: jax.Array, so_far: _Frames) -> _Frames:
            drawn = jax.random.fold_in(key, number)
            state, obs, reward, terminal, truncated = self._dynamics.step(so_far.state, action, drawn)
            # an end at the time limit is still an end
            ends = jnp.asarray(terminal, bool), jnp.asarray(truncated, bool) & ~jnp.asarray(terminal, bool)
            following = _Frames(state, obs, so_far.reward + reward, *ends, so_far.frames + 1)
            return _select(so_far.terminal | so_far.truncated, so_far, following)

        no, zero = jnp.zeros((), bool), jnp.zeros((), jnp.float32)
        begin = _Frames(episode.state, episode.obs, zero, no, no, jnp.zeros((), jnp.int32))
        return jax.lax.fori_loop(0, self._repeat, frame, begin)


class _Frames(NamedTuple):
    """The result of the frames of one action."""

    state: Any
    obs: jax.Array
    reward: jax.Array
    terminal: jax.Array
    truncated: jax.Array
    frames: jax.Array


def _select(condition: jax.Array, chosen: Any, other: Any) -> Any:
    """``chosen`` where the condition holds, else ``other``, leaf by leaf, in the types of ``chosen``."""
    return jax.tree.map(lambda one, two: jnp.where(condition, one, jnp.asarray(two, one.dtype)), chosen, other)


class PureVector:
    """Copies of a pure world, each with its own seed, stepped by one executable; always exact.

    The keys of a step are a function of the seeds and of the number of steps since :meth:`reset`.
    """

    exact = reusable = True

    def __init__(self, task: str, dynamics: Dynamics, seeds: Sequence[int], action_repeat: int):
        self.task = task
        self._boundary = Boundary(task, origin_of(dynamics))
        try:
            _check(dynamics)
        except Violation as error:
            raise self._boundary.failed(error, "when it was traced") from error
        self.count = len(seeds)
        self.observation_size, self.action_size = dynamics.observation_size, dynamics.action_size
        self.pure = Episodes(dynamics, action_repeat)
        self._keys = jax.vmap(jax.random.PRNGKey)(np.asarray(seeds, np.uint32))
        self._init = jax.jit(jax.vmap(self.pure.init))
        self._step = jax.jit(self._advance)
        self._steps = 0
        self._episodes = self._init(self._keys)
        # traced here, so that an error in the dynamics is reported when the world is made
        actions = np.zeros((self.count, self.action_size), np.float32)
        jax.eval_shape(self._advance, self._episodes, actions, np.ones(self.count, bool), np.int32(0))

    def reset(self) -> Array:
        self._steps = 0
        self._episodes = self._init(self._keys)
        return self._episodes.obs

    def step(self, actions: Array, active: np.ndarray | None = None) -> Stepped:
        active = np.ones(self.count, bool) if active is None else active
        self._steps += 1
        self._episodes, result = self._step(self._episodes, actions, active, np.int32(self._steps))
        next_obs, reward, terminal, truncated, totals, lengths = jax.device_get(result)
        if not (np.isfinite(next_obs).all() and np.isfinite(reward).all()):
            k = int(np.flatnonzero(~(np.isfinite(next_obs).all(axis=1) & np.isfinite(reward)))[0])
            raise self._boundary.not_finite(next_obs[k], float(reward[k]), f"in copy {k} at step {self._steps}")
        ended = np.flatnonzero(terminal | truncated)
        finished = [(float(totals[k]), int(lengths[k])) for k in ended]
        return Stepped(self._episodes.obs, next_obs, reward, terminal, truncated, finished)

    def _advance(
        self, episodes: Episode, actions: jax.Array, active: jax.Array, number: jax.Array
    ) -> tuple[Episode, tuple[jax.Array, ...]]:
        keys = jax.vmap(partial(jax.random.fold_in, data=number))(self._keys)
        after, next_obs, reward, terminal, truncated = jax.vmap(self.pure.step)(episodes, actions, keys)
        after = jax.vmap(_select)(active, after, episodes)
        next_obs = jnp.where(active[:, None], next_obs, episodes.obs)
        ends = terminal & active, truncated & active
        return after, (next_obs, jnp.where(active, reward, 0.0), *ends, after.last_total, after.last_length)

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self._episodes.total), np.asarray(self._episodes.length)

    def snapshot(self) -> dict[str, Any]:
        leaves = [np.array(leaf) for leaf in jax.tree.leaves(self._episodes)]
        return {"task": self.task, "steps": self._steps, "leaves": leaves}

    def restore(self, snapshot: dict[str, Any]) -> Array:
        leaves, structure = jax.tree.flatten(self._episodes)
        found = snapshot["leaves"]
        if [(one.shape, one.dtype) for one in leaves] != [(one.shape, one.dtype) for one in found]:
            raise RunError("FRL0413", f"the checkpoint was written by another version of {self.task}")
        self._steps = int(snapshot["steps"])
        self._episodes = jax.tree.unflatten(structure, [jnp.array(leaf, copy=True) for leaf in found])
        return self._episodes.obs

    def notices(self) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing is open."""


def _check(dynamics: Dynamics) -> None:
    """Check the shapes of what the functions of a world return; broadcasting would hide wrong ones."""
    key, action = jax.random.PRNGKey(0), jnp.zeros(dynamics.action_size, jnp.float32)
    state, first = jax.eval_shape(dynamics.init, key)
    after, obs, *others = jax.eval_shape(dynamics.step, state, action, key)
    for name, found, shape in (
        ("an observation", first, (dynamics.observation_size,)),
        ("an observation", obs, (dynamics.observation_size,)),
        *((name, found, ()) for name, found in zip(("a reward", "terminal", "truncated"), others, strict=True)),
    ):
        if jnp.shape(found) != shape:
            raise Violation("FRL0409", f"{name} of shape {jnp.shape(found)}", f"its shape must be {shape}")
    before, later = (jax.tree.map(jnp.shape, tree) for tree in (state, after))
    if before != later:
        raise Violation("FRL0409", f"a state of shapes {later}", f"`init` returned {before}")
