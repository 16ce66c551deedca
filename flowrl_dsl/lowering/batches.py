"""Drawing the batch of an update from the replay on the device: transitions, or windows of several steps.

The replay is a ring: row k of all ``total`` ever added stands at k modulo the capacity, and the newest ``size`` are there.
With several environments, rows of one environment are ``stride`` apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

Replay = Mapping[str, jax.Array]
Batch = dict[str, jax.Array]
Priorities = dict[str, jax.Array]

_BLOCK = 256
"""Places that are drawn from at a time."""

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
    oldest = (replay["total"] - replay["size"]) % capacity
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


def no_priorities(capacity: int) -> Priorities:
    """Priorities of an empty replay."""
    return {"priority": jnp.zeros(capacity), "largest": jnp.ones(()), "seen": jnp.zeros((), jnp.int32)}


def with_new_rows(priorities: Priorities, replay: Replay) -> Priorities:
    """Rows added since these priorities were made get the largest one."""
    places = jnp.arange(priorities["priority"].shape[0])
    newest = replay["total"] - 1
    number = newest - (newest - places) % places.shape[0]
    fresh = (number >= priorities["seen"]) & (number >= 0)
    priority = jnp.where(fresh, priorities["largest"], priorities["priority"])
    return priorities | {"priority": priority, "seen": replay["total"]}


def prioritized_rows(key: jax.Array, priorities: Priorities, replay: Replay, count: int) -> jax.Array:
    """Places drawn in proportion to their priorities, with replacement: [count].

    A block of places first and then one of its places: in float32 a running sum over a million rows is too coarse for those
    of low priority, and a random number in [0, 1) as well.
    """
    table = priorities["priority"]
    blocks = jnp.pad(table, (0, -len(table) % _BLOCK)).reshape(-1, _BLOCK)
    block_key, place_key = jax.random.split(key)
    sums = jnp.cumsum(jnp.sum(blocks, axis=1))
    block = jnp.searchsorted(sums, jax.random.uniform(block_key, (count,)) * sums[-1], side="right")
    # a draw may round up to the whole sum
    block = jnp.minimum(block, len(blocks) - 1)
    inside = jnp.cumsum(blocks[block], axis=1)
    place = jnp.sum(inside <= jax.random.uniform(place_key, (count, 1)) * inside[:, -1:], axis=1)
    return jnp.minimum(block * _BLOCK + jnp.minimum(place, _BLOCK - 1), replay["size"] - 1)


def judged(priorities: Priorities, rows: jax.Array, priority: jax.Array, refresh: jax.Array) -> Priorities:
    """The priorities after an update; where it found none (NaN) rows keep theirs.

    A row that was drawn several times has the largest of what was found of it: which of several writes wins is not fixed on
    all devices.  The largest one so far is remembered for new rows; with ``refresh`` it is the largest one there is.
    """
    table = priorities["priority"]
    found = jnp.where(jnp.isnan(priority), table[rows], priority)
    table = table.at[rows].set(0.0).at[rows].max(found)
    so_far = jnp.fmax(priorities["largest"], jnp.max(table[rows]))
    return priorities | {"priority": table, "largest": jnp.where(refresh, jnp.max(table), so_far)}
