"""Worlds that are pure functions of JAX arrays: their episodes, and copies of them stepped together on the device.

A plugin adds one by a kind whose ``make`` returns ``PureVector(task, dynamics, seeds, action_repeat)``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.record import Layout
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import Array, Episode, Stepped
from flowrl_dsl.runtime.worlds.boundary import Boundary, Violation, origin_of


class Dynamics(Protocol):
    """One copy of a world as two pure functions; nothing in them resets a finished episode.

    ``state`` is a tree of numeric arrays whose shapes and types stay the same; it contains the time, where there is a limit.
    """

    observation_size: int
    action_size: int
    # and ``layout``, where the observation consists of entries that sections of a spec may read apart

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
        return Episode(jax.tree.map(_strong, state), jnp.asarray(obs, jnp.float32), zero, none, zero, none)

    def step(
        self, episode: Episode, action: jax.Array, key: jax.Array
    ) -> tuple[Episode, jax.Array, jax.Array, jax.Array, jax.Array]:
        frames, reset = jax.random.split(key)
        going, seen = self.continued(episode, action, frames)
        return _select(seen.terminal | seen.truncated, self.following(going, reset), going), *seen

    def continued(self, episode: Episode, action: jax.Array, key: jax.Array) -> tuple[Episode, Seen]:
        """The episode after an action, not begun again where it is over, and what the action led to."""
        after = self._frames(episode, action, key)
        total, length = episode.total + after.reward, episode.length + after.frames
        going = Episode(after.state, after.obs, total, length, episode.last_total, episode.last_length)
        return _as(episode, going), Seen(after.obs, after.reward, after.terminal, after.truncated)

    def following(self, over: Episode, key: jax.Array) -> Episode:
        """The start of the episode after one that is over."""
        return self.init(key)._replace(last_total=over.total, last_length=over.length)

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
        if self._repeat == 1:
            # a loop of one frame takes half as long again to compile
            return frame(jnp.zeros((), jnp.int32), begin)
        return jax.lax.fori_loop(0, self._repeat, frame, begin)


class Seen(NamedTuple):
    """What an action led to: the observation that followed it [O], reward [], terminal [], truncated []."""

    obs: jax.Array
    reward: jax.Array
    terminal: jax.Array
    truncated: jax.Array


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


def _as(like: Any, tree: Any) -> Any:
    """The tree in the types of another, leaf by leaf."""
    return jax.tree.map(lambda one, leaf: jnp.asarray(leaf, one.dtype), like, tree)


def _strong(leaf: Any) -> jax.Array:
    """A leaf of a state with a type of its own: one that is weak at first and strong later has everything compiled twice."""
    array = jnp.asarray(leaf)
    return jnp.asarray(array, array.dtype)


class Copies:
    """Copies of a pure world as functions of all their episodes, each compiled once for each number of copies."""

    def __init__(self, dynamics: Dynamics, action_repeat: int):
        self.one = Episodes(dynamics, action_repeat)
        self.init = jax.jit(jax.vmap(self.one.init))
        self.step = jax.jit(self.advance)

    def advance(
        self, episodes: Episode, actions: jax.Array, active: jax.Array, keys: jax.Array, number: jax.Array
    ) -> tuple[Episode, Seen]:
        """Step ``number`` (from 1) of the ``active`` copies [N], whose ``keys`` [N, 2] are those of their seeds.

        Episodes that are over have begun again; where none is, nothing is reset, which may cost as much as a step.
        """
        drawn = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, number)))(keys)
        going, seen = jax.vmap(self.one.continued)(episodes, actions, drawn[:, 0])
        going = jax.vmap(_select)(active, going, episodes)
        seen = Seen(
            jnp.where(active[:, None], seen.obs, episodes.obs),
            jnp.where(active, seen.reward, 0.0),
            seen.terminal & active,
            seen.truncated & active,
        )
        over = seen.terminal | seen.truncated

        def begun_again() -> Episode:
            return jax.vmap(_select)(over, jax.vmap(self.one.following)(going, drawn[:, 1]), going)

        return jax.lax.cond(jnp.any(over), begun_again, lambda: going), seen


def _copies(dynamics: Dynamics, action_repeat: int) -> Copies:
    """Worlds of the same dynamics share their executables, if these can be compared."""
    try:
        hash(dynamics)
    except TypeError:
        return Copies(dynamics, action_repeat)
    return _shared(cast(Hashable, dynamics), action_repeat)


@lru_cache(maxsize=8)
def _shared(dynamics: Any, action_repeat: int) -> Copies:
    return Copies(dynamics, action_repeat)


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
        self.layout: Layout | None = getattr(dynamics, "layout", None)
        self.copies = _copies(dynamics, action_repeat)
        self.pure = self.copies.one
        self.keys = jax.vmap(jax.random.PRNGKey)(np.asarray(seeds, np.uint32))
        self.steps = 0
        self.episodes = self.copies.init(self.keys)
        # traced here, so that an error in the dynamics is reported when the world is made
        actions = np.zeros((self.count, self.action_size), np.float32)
        jax.eval_shape(self.copies.advance, self.episodes, actions, self._all(), self.keys, np.int32(0))

    def _all(self) -> np.ndarray:
        return np.ones(self.count, bool)

    def reset(self) -> Array:
        self.hold(self.copies.init(self.keys), 0)
        self._check_finite(np.asarray(self.episodes.obs), np.zeros(self.count))
        return self.episodes.obs

    def hold(self, episodes: Episode, steps: int) -> None:
        """Continue from these episodes, ``steps`` after the reset."""
        self.episodes, self.steps = episodes, steps

    def step(self, actions: Array, active: np.ndarray | None = None) -> Stepped:
        number = np.int32(self.steps + 1)
        stepped = self.copies.step(self.episodes, actions, self._all() if active is None else active, self.keys, number)
        self.hold(stepped[0], self.steps + 1)
        episodes = self.episodes
        seen, obs, *last = jax.device_get((stepped[1], episodes.obs, episodes.last_total, episodes.last_length))
        self._check_finite(seen.obs, seen.reward)
        self._check_finite(obs, seen.reward)
        ended = np.flatnonzero(seen.terminal | seen.truncated)
        finished = [(float(last[0][k]), int(last[1][k])) for k in ended]
        return Stepped(episodes.obs, seen.obs, seen.reward, seen.terminal, seen.truncated, finished)

    def _check_finite(self, obs: np.ndarray, reward: np.ndarray) -> None:
        bad = np.flatnonzero(~(np.isfinite(obs).all(axis=1) & np.isfinite(reward)))
        if len(bad):
            raise self.not_finite(int(bad[0]), self.steps, obs[bad[0]], float(reward[bad[0]]))

    def not_finite(self, copy: int, step: int, obs: np.ndarray, reward: float) -> RunError:
        """FRL0406 for an observation [O] or a reward of a copy; step 0 is the reset."""
        return self._boundary.not_finite(obs, reward, f"in copy {copy} at {f'step {step}' if step else 'its reset'}")

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.episodes.total), np.asarray(self.episodes.length)

    def snapshot(self) -> dict[str, Any]:
        leaves = [np.array(leaf) for leaf in jax.tree.leaves(self.episodes)]
        return {"task": self.task, "steps": self.steps, "leaves": leaves}

    def restore(self, snapshot: dict[str, Any]) -> Array:
        leaves, structure = jax.tree.flatten(self.episodes)
        found = snapshot["leaves"]
        if [(one.shape, one.dtype) for one in leaves] != [(one.shape, one.dtype) for one in found]:
            raise RunError("FRL0413", f"the checkpoint was written by another version of {self.task}")
        self.hold(jax.tree.unflatten(structure, [jnp.array(leaf, copy=True) for leaf in found]), int(snapshot["steps"]))
        return self.episodes.obs

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
    # compared as they are: the texts of equal ones may contain different addresses
    structures: list[Any] = [jax.tree.structure(tree) for tree in (state, after)]
    first_form, form = structures
    if form != first_form:
        raise Violation("FRL0409", f"a state of structure {form}", f"`init` returned {first_form}")
    before, later = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (state, after))
    for (path, one), (_, other) in zip(before, later, strict=True):
        if jnp.shape(one) != jnp.shape(other):
            name = f"a state whose {jax.tree_util.keystr(path)} has shape {jnp.shape(other)}"
            raise Violation("FRL0409", name, f"`init` returned shape {jnp.shape(one)}")
