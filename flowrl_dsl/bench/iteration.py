"""``bench train`` in a pure world: the speed of a training whose turns are single executables, and their shares.

No clock sees the parts of an executable.  So each part is compiled as one of its own, a loop over the steps of a dispatch:
acting, stepping the world with resets, storing, and the updates.  Overhead is what the whole takes longer than their sum,
negative where the compiler does better in the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.bench.timing import in_turns
from flowrl_dsl.lowering.iteration import Counts, Held
from flowrl_dsl.runtime.train import Training

WHOLE = "whole"
_SAMPLES = 5


class Timed(Training):
    """A training with a clock on its turns from the second that learns on: the first one compiles."""

    steps, seconds = 0, 0.0

    def advance(self) -> None:
        began, before, learned = time.perf_counter(), self.step, self.updates
        super().advance()
        jax.block_until_ready(self.state)
        if learned:
            self.steps, self.seconds = self.steps + self.step - before, self.seconds + time.perf_counter() - began


def parts(training: Timed) -> tuple[float, dict[str, float]]:
    """The seconds of a step of all environments in one dispatch, and of each of its parts by the names of ``bench train``.

    They are medians of samples taken in turns.  ``training`` has ended in a pure world.
    """
    settings, program, steps = training.settings, training.program, training.settings.longest
    world: Any = training.world
    learned = settings.updates if settings.rollout else settings.updates_a_turn
    given = training.state, training.inputs
    clocks = {
        WHOLE: _Repeated(_dispatch(training, learned), Held(training.state, training.replay.own(), world.episodes)),
        "act": _Repeated(_compiled(_acting, program, steps), training.obs, *given),
        "environment": _Repeated(_compiled(_stepping, world, steps), world.episodes),
        "replay": _Repeated(_compiled(_storing, program, steps, settings.envs), training.replay.own()),
        "update": _Repeated(_compiled(_learning, program, learned), *given, training.replay.view()),
    }
    samples = in_turns({name: clock.again for name, clock in clocks.items()}, 1 + _SAMPLES)
    # an update outside of rollouts belongs to a single step; the first sample compiles
    lengths = dict.fromkeys(clocks, steps) | ({} if settings.rollout else {"update": 1})
    found = {name: median(samples[name][1:]) / length for name, length in lengths.items()}
    return found.pop(WHOLE), found


class _Repeated:
    """A function of what it returned the last time, which it consumes, and of further arguments that stay."""

    def __init__(self, function: Callable[..., Any], begin: Any, *others: Any):
        self._value, self._others = jax.tree.map(jnp.copy, begin), others
        self._function = function

    def again(self) -> None:
        self._value = jax.block_until_ready(self._function(self._value, *self._others))


def _compiled(function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    return jax.jit(partial(function, *fixed), donate_argnums=0)


def _dispatch(training: Timed, updates: int) -> Callable[[Any], Any]:
    """The longest dispatch of the training: the executable that it has used."""
    world, longest = cast(Any, training.world), training.settings.longest
    due = {"after" if training.settings.rollout else "between": np.int32(updates)}
    counts = Counts(np.int32(0), np.int32(0), np.int32(longest), **due)
    rest = training.replay.beside(), world.keys, counts, training.inputs
    return lambda held: training.program.iterate(world.copies, longest, held, *rest).held


def _acting(program: Any, steps: int, obs: jax.Array, state: Any, hyper: Any) -> jax.Array:
    """``steps`` times act, on observations that depend on the actions before: nothing is computed once for all steps."""

    def one(k: jax.Array, obs: jax.Array) -> jax.Array:
        acted = program.jit_act["explore"](state, obs, k, hyper)
        return obs + 0.0 * sum(jnp.sum(value) for value in acted.values())

    return jax.lax.fori_loop(0, steps, one, obs)


def _stepping(world: Any, steps: int, episodes: Any) -> Any:
    """``steps`` times step every copy, by random actions, and reset those that are over."""
    everyone = jnp.ones(world.count, bool)

    def one(k: jax.Array, episodes: Any) -> Any:
        shape = (world.count, world.action_size)
        actions = jax.random.uniform(jax.random.fold_in(world.keys[0], k), shape, minval=-1.0)
        return world.copies.advance(episodes, actions, everyone, world.keys, k + 1)[0]

    return jax.lax.fori_loop(0, steps, one, episodes)


def _storing(program: Any, steps: int, envs: int, storage: Any) -> Any:
    """``steps`` times store a step of every copy."""

    def one(k: jax.Array, storage: Any) -> Any:
        rows = {name: jnp.full((envs, *storage[name].shape[1:]), k, jnp.float32) for name in program.data.stored}
        return program.data.source.insert(storage, rows, jnp.int32(envs))

    return jax.lax.fori_loop(0, steps, one, storage)


def _learning(program: Any, updates: int, state: Any, hyper: Any, storage: Any) -> Any:
    """The state after ``updates`` on what the training has stored."""
    return program.jit_update(state, storage, np.int32(updates), hyper)[0]
