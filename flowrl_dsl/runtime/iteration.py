"""Iterations of a training in a pure world: steps of all copies and the updates among them in one dispatch."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import numpy as np

from flowrl_dsl.lowering.iteration import Counts, Held, Iterated
from flowrl_dsl.record import columns
from flowrl_dsl.runtime.learner import Means
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.settings import Settings


class Iterating(Protocol):
    """What a training has for its iterations; ``world`` is a :class:`~flowrl_dsl.runtime.worlds.pure.PureVector`."""

    program: Any
    settings: Settings
    world: Any
    replay: Replay
    means: Means
    state: Any
    obs: Any
    inputs: dict[str, Any]
    iteration: int
    finished: list[tuple[float, int]]

    def count_updates(self, count: int) -> None: ...

    def refuse_bad_actions(self) -> None: ...


def iterate(training: Iterating, steps: int, between: int | None, after: int | None) -> None:
    """``steps`` of every copy with the updates among them, as ``Counts`` has them, and what the host keeps of them.

    Raises FRL0406 if the world gave a value that is not finite, FRL0420 or FRL0421 if the policy did.
    """
    world, replay = training.world, training.replay
    numbers = training.iteration, world.steps, steps, between, after
    counts = Counts(*(None if number is None else np.int32(number) for number in numbers))
    held = Held(training.state, replay.own(), world.episodes)
    fixed = replay.beside(), world.keys, counts, training.inputs
    done: Iterated = training.program.iterate(world.copies, training.settings.longest, held, *fixed)
    first = world.steps
    training.state, training.obs = done.held.state, done.held.episodes.obs
    world.hold(done.held.episodes, first + steps)
    rows, ends = jax.device_get((done.rows, done.ends))
    rows = rows[:steps].reshape(steps * world.count, -1)
    replay.written(done.held.storage, rows)
    if between or after:
        training.means.add_each(done.metrics)
    _count(training, steps, between, after)
    _check(training, rows, first)
    over = ends.over[:steps]
    training.finished.extend(zip(ends.total[:steps][over].tolist(), ends.length[:steps][over].tolist(), strict=True))


def _count(training: Iterating, steps: int, between: int | None, after: int | None) -> None:
    """Count the steps and the updates in their order: a phase that begins among them is recorded at its step."""
    for _ in range(steps):
        if between:
            training.count_updates(between)
        training.iteration += 1
    if after:
        training.count_updates(after)


def _check(training: Iterating, rows: np.ndarray, first: int) -> None:
    """Raise an error if a row is not finite; that of the world, unless the policy's action was the first such value."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if not len(bad):
        return
    world, program = training.world, training.program
    step, copy = divmod(int(bad[0]), world.count)
    row = {k: v[0] for k, v in columns(rows[bad[:1]], program.data.stored, program.axis_sizes).items()}
    if not np.isfinite(row["s"]).all():
        raise world.not_finite(copy, first + step, row["s"], 0.0)
    if np.isfinite(row["a"]).all():
        raise world.not_finite(copy, first + step + 1, row["s_next"], float(row["r"]))
    training.refuse_bad_actions()
