"""A ring buffer of the newest steps, sampled as single transitions or windows of several steps.

Row k of all ``total`` rows ever added is at k modulo the capacity; the newest ``size`` rows are stored.  With several
environments, rows of one environment are ``stride`` apart.
"""

from __future__ import annotations

from dataclasses import replace
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


def reach(storage: Any, rows: Any, horizon: int, stride: int) -> tuple[Any, Any]:
    """The ``horizon`` places from each row on, and whether each is in its window: both [batch, window].

    A window ends with the episode and at the newest row.
    """
    capacity = storage["r"].shape[0]
    oldest = (storage["total"] - storage["size"]) % capacity
    later = jnp.arange(horizon) * stride
    inside = (rows[:, None] - oldest) % capacity + later < storage["size"]
    places = (rows[:, None] + later) % capacity
    ended = jnp.cumsum(storage["end"][places], axis=1) - storage["end"][places] > 0
    return places, inside & ~ended


def windows(storage: Any, rows: Any, horizon: int, stride: int) -> tuple[Any, dict[str, Any]]:
    """The given rows extended to windows of ``horizon`` steps: the last row of each window, and the batch.

    ``rewards`` [batch, window] are those of the window, 0 after its end; ``count`` is its length.  d and s_next are those
    of its last step: d is 1 if the episode ended there other than by a time limit.
    """
    places, valid = reach(storage, rows, horizon, stride)
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


def chunks(storage: Any, rows: Any, horizon: int, stride: int) -> Any:
    """The actions of the ``horizon`` steps from each row on, side by side, 0 after the end of the window: [batch, n A]."""
    places, valid = reach(storage, rows, horizon, stride)
    return jnp.where(valid[..., None], storage["a"][places], 0.0).reshape(rows.shape[0], -1)


def whole_alone(places: Any, whole: Any) -> Any:
    """The places [batch] of a batch, those of windows that are not ``whole`` replaced by places of others that are.

    Where the places are independent draws of one distribution, each of those returned is distributed as a draw among whole
    windows alone: what replaces what depends on which places of the batch are whole, not on their windows.  Where none is,
    all stay.
    """
    number, many = jnp.arange(places.shape[0]), jnp.sum(whole)
    others = jnp.argsort(~whole)[number % jnp.maximum(many, 1)]
    return places[jnp.where(whole | (many == 0), number, others)]


@register
class Ring(Source):
    """The newest steps in chronological order; ``sampling`` draws the rows of a batch.

    With a horizon of one step a batch contains transitions, with a longer one returns of windows.  Where it is ``chunked``
    it also contains their actions; windows that end before the horizon are then replaced by others of the batch, as long as
    it has one that does not.
    """

    name = "ring"

    sampling: Sampling = option("sampling of rows", "uniform")
    horizon: int = Option(1, ge=1, description="number of steps of a return")
    stride: int = Option(1, ge=1, description="number of parallel environments")
    follows: bool = Option(False, description="whether a batch contains the actions of the next steps")
    ahead: int = Option(0, ge=0, description="number of rewards from each row on that a batch contains")
    chunked: bool = Option(False, description="whether a batch contains the actions of the whole horizon")

    @classmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int, following: bool, ahead: int, chunked: bool) -> Source:
        return cls(sampling=sampling, horizon=horizon, stride=envs, follows=following, ahead=ahead, chunked=chunked)

    def batch(self, stored: Record) -> Record:
        fields = {name: field for name, field in stored.items() if name != "end"}
        if self.follows:
            fields |= {"a_next_seen": Field(("action",), by="source"), "next_seen": Field(by="source")}
        if self.ahead:
            later = Field(("window",), by="source", sizes=(("window", self.ahead),))
            fields |= {"rewards_ahead": later, "count_ahead": Field(by="source"), "d_ahead": Field(by="source")}
        if self.horizon == 1:
            return fields
        if self.chunked:
            fields["a"] = replace(stored["a"], by="source", steps=self.horizon)
        del fields["r"]
        steps = (("window", self.horizon),)
        return fields | {"rewards": Field(("window",), by="source", sizes=steps), "count": Field(by="source")}

    def insert(self, storage: Any, rows: Any, count: Any) -> Any:
        capacity, many = storage["r"].shape[0], rows["r"].shape[0]
        cursor = storage["total"] % capacity
        if many == 1:
            # never wraps around, and a slice costs half as much as a scatter
            kept = {k: jax.lax.dynamic_slice_in_dim(storage[k], cursor, 1, 0) for k in rows}
            new = {k: jnp.where(count > 0, part, kept[k]) for k, part in rows.items()}
            written = {k: jax.lax.dynamic_update_slice_in_dim(storage[k], part, cursor, 0) for k, part in new.items()}
        else:
            position = jnp.arange(many, dtype=jnp.int32)
            places = jnp.where(position < count, (cursor + position) % capacity, capacity + position)
            written = {k: storage[k].at[places].set(part, mode="drop", unique_indices=True) for k, part in rows.items()}
        size = jnp.minimum(storage["size"] + count, capacity)
        return {**written, "size": size, "total": storage["total"] + count}

    def memory(self, capacity: int) -> Any:
        return self.sampling.memory(capacity)

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        memory, places = self._drawn(memory, storage, key, count)
        return memory, whole_alone(places, self._whole(storage, places)) if self.chunked else places

    def _drawn(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        return self.sampling.draw(memory, storage, key, count)

    def _whole(self, storage: Any, places: Any) -> Any:
        """Whether each place begins a window of the whole horizon."""
        return jnp.all(reach(storage, places, self.horizon, self.stride)[1], axis=1)

    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        return self._gathered(storage, places, self.stride)

    def _gathered(self, storage: Any, rows: Any, stride: int) -> dict[str, Any]:
        last, batch = rows, transitions(storage, rows)
        if self.horizon > 1:
            last, batch = windows(storage, rows, self.horizon, stride)
        if self.chunked:
            batch["a"] = chunks(storage, rows, self.horizon, stride)
        if self.ahead:
            batch |= rewards_ahead(storage, rows, self.ahead, stride)
        return batch | following(storage, last, stride) if self.follows else batch

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        return self.sampling.learn(memory, places, feedback, step)
