"""Iterations of a training in a pure world: a rollout and the updates on it in one dispatch."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import numpy as np

from flowrl_dsl.lowering.iteration import Counts, Iterated
from flowrl_dsl.record import columns
from flowrl_dsl.runtime.learner import Means
from flowrl_dsl.runtime.replay import Replay


class Iterating(Protocol):
    """What a training has for its iterations; ``world`` is a :class:`~flowrl_dsl.runtime.worlds.pure.PureVector`."""

    program: Any
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


def iterate(training: Iterating, steps: int, updates: int) -> None:
    """``steps`` of every copy, stored, then ``updates``; waits for the device, because the host keeps the new rows.

    Raises FRL0406 if the world gave a value that is not finite, FRL0420 or FRL0421 if the policy did.
    """
    world, replay, program = training.world, training.replay, training.program
    counts = Counts(*map(np.int32, (training.iteration, world.steps, steps, updates)))
    after: Iterated = program.iterate(
        world.copies, training.state, replay.own(), world.episodes, world.keys, counts, training.inputs
    )
    first = world.steps
    training.state, training.obs = after.state, after.episodes.obs
    world.hold(after.episodes, first + steps)
    rows, ends = jax.device_get((after.rows, after.ends))
    rows = rows[: steps * world.count]
    replay.written(after.storage, rows)
    training.iteration += steps
    _check(training, rows, first)
    over = ends.over[:steps]
    training.finished.extend(zip(ends.total[:steps][over].tolist(), ends.length[:steps][over].tolist(), strict=True))
    if updates:
        training.means.add(after.metrics)
        training.count_updates(updates)


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
