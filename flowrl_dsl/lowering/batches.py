"""Drawing the batch of an update from the replay on the device: transitions, or windows of several steps.

The replay is a ring: row k of all ever added stands at k modulo the capacity.  With several environments, rows of one
environment are ``stride`` apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

Replay = Mapping[str, jax.Array]
Batch = dict[str, jax.Array]

TRANSITION = ("s", "a", "r", "d", "s_next")


def transitions(replay: Replay, rows: jax.Array) -> Batch:
    """The transitions in the given rows."""
    return {name: replay[name][rows] for name in TRANSITION}


def windows(replay: Replay, rows: jax.Array, horizon: int, stride: int) -> Batch:
    """The transitions in the given rows with what the ``horizon`` steps from them on brought.

    ``rewards`` [batch, step] are those of the window, 0 behind its end; ``count`` is its length.  It ends with the episode
    (d tells whether truly) and at the newest row; d and s_next are those of its last step.
    """
    capacity = replay["r"].shape[0]
    oldest = (replay["cursor"] - replay["size"]) % capacity
    later = jnp.arange(horizon) * stride
    inside = (rows[:, None] - oldest) % capacity + later < replay["size"]
    places = (rows[:, None] + later) % capacity
    ended = jnp.cumsum(replay["end"][places], axis=1) - replay["end"][places] > 0
    valid = inside & ~ended
    count = jnp.sum(valid, axis=1)
    last = jnp.take_along_axis(places, count[:, None] - 1, axis=1)[:, 0]
    return {
        "s": replay["s"][rows],
        "a": replay["a"][rows],
        "rewards": jnp.where(valid, replay["r"][places], 0.0),
        "count": count.astype(jnp.float32),
        "d": replay["d"][last],
        "s_next": replay["s_next"][last],
    }
