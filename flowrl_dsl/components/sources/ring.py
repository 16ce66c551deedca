"""A ring buffer of the newest steps, sampled as single transitions or windows of several steps.

Row k of all ``total`` rows ever added is at k modulo the capacity; the newest ``size`` rows are stored.  With several
environments, rows of one environment are ``stride`` apart.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field as Option

from flowrl_dsl.components.data import Sampling, Source
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.record import Field, Record
from flowrl_dsl.registry import option, register


def transitions(storage: Any, rows: Any) -> dict[str, Any]:
    """The fields of the given rows."""
    return {name: storage[name][rows] for name in storage if name not in ("size", "total", "end")}


def following(storage: Any, rows: Any, stride: int) -> dict[str, Any]:
    """The action of the step after each of the rows, and 1 where the storage has that step of the same episode, else 0."""
    capacity = storage["r"].shape[0]
    oldest = (storage["total"] - storage["size"]) % capacity
    stored = (rows - oldest) % capacity + stride < storage["size"]
    return {
        "a_next_seen": storage["a"][(rows + stride) % capacity],
        "next_seen": jnp.where(stored, 1.0 - storage["end"][rows], 0.0),
    }


def rewards_ahead(storage: Any, rows: Any, horizon: int, stride: int) -> dict[str, Any]:
    """The rewards of the ``horizon`` steps from each of the rows on, as in :func:`windows`, and d of the last of them."""
    _, found = windows(storage, rows, horizon, stride)
    return {"rewards_ahead": found["rewards"], "count_ahead": found["count"], "d_ahead": found["d"]}


def windows(storage: Any, rows: Any, horizon: int, stride: int) -> tuple[Any, dict[str, Any]]:
    """The given rows extended to windows of ``horizon`` steps: the last row of each window, and the batch.

    ``rewards`` [batch, window] are those of the window, 0 after its end; ``count`` is its length.  A window ends with the
    episode (d is 1 if terminal) and at the newest row; d and s_next are those of its last step.
    """
    capacity = storage["r"].shape[0]
    oldest = (storage["total"] - storage["size"]) % capacity
    later = jnp.arange(horizon) * stride
    inside = (rows[:, None] - oldest) % capacity + later < storage["size"]
    places = (rows[:, None] + later) % capacity
    ended = jnp.cumsum(storage["end"][places], axis=1) - storage["end"][places] > 0
    valid = inside & ~ended
    count = jnp.sum(valid, axis=1)
    last = jnp.take_along_axis(places, count[:, None] - 1, axis=1)[:, 0]
    batch = transitions(storage, rows)
    del batch["r"]
    return last, batch | {
        "rewards": jnp.where(valid, storage["r"][places], 0.0),
        "count": count.astype(jnp.float32),
        "d": storage["d"][last],
        "s_next": storage["s_next"][last],
    }


@register
class Ring(Source):
    """The newest steps in chronological order; ``sampling`` draws the rows of a batch.

    With a horizon of one step a batch contains transitions, with a longer one returns of windows.
    """

    name = "ring"

    sampling: Sampling = option("sampling of rows", "uniform")
    horizon: int = Option(1, ge=1, description="number of steps of a return")
    stride: int = Option(1, ge=1, description="number of parallel environments")
    follows: bool = Option(False, description="whether a batch contains the actions of the next steps")
    ahead: int = Option(0, ge=0, description="number of rewards from each row on that a batch contains")

    @classmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int, following: bool, ahead: int) -> Source:
        return cls(sampling=sampling, horizon=horizon, stride=envs, follows=following, ahead=ahead)

    def batch(self, stored: Record) -> Record:
        fields = {name: field for name, field in stored.items() if name != "end"}
        if self.follows:
            fields |= {"a_next_seen": Field(("action",), by="source"), "next_seen": Field(by="source")}
        if self.ahead:
            later = Field(("window",), by="source", sizes=(("window", self.ahead),))
            fields |= {"rewards_ahead": later, "count_ahead": Field(by="source"), "d_ahead": Field(by="source")}
        if self.horizon == 1:
            return fields
        del fields["r"]
        steps = (("window", self.horizon),)
        return fields | {"rewards": Field(("window",), by="source", sizes=steps), "count": Field(by="source")}

    def insert(self, storage: Any, rows: Any, count: Any) -> Any:
        capacity, many = storage["r"].shape[0], rows["r"].shape[0]
        cursor = storage["total"] % capacity
        if many == 1:
            # never wraps around, and a slice costs half as much as a scatter
            written = {k: jax.lax.dynamic_update_slice_in_dim(storage[k], part, cursor, 0) for k, part in rows.items()}
        else:
            position = jnp.arange(many, dtype=jnp.int32)
            places = jnp.where(position < count, (cursor + position) % capacity, capacity + position)
            written = {k: storage[k].at[places].set(part, mode="drop", unique_indices=True) for k, part in rows.items()}
        size = jnp.minimum(storage["size"] + count, capacity)
        return {**written, "size": size, "total": storage["total"] + count}

    def memory(self, capacity: int) -> Any:
        return self.sampling.memory(capacity)

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        return self.sampling.draw(memory, storage, key, count)

    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        return self._gathered(storage, places, self.stride)

    def _gathered(self, storage: Any, rows: Any, stride: int) -> dict[str, Any]:
        last, batch = rows, transitions(storage, rows)
        if self.horizon > 1:
            last, batch = windows(storage, rows, self.horizon, stride)
        if self.ahead:
            batch |= rewards_ahead(storage, rows, self.ahead, stride)
        return batch | following(storage, last, stride) if self.follows else batch

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        return self.sampling.learn(memory, places, feedback, step)
