"""The replay buffer: rows on the device, managed by the program's source, and on the host those not yet in a checkpoint.

A row is the concatenation of the fields of the stored record, float32.  Rows stay on the host until the device needs them,
so the warm-up costs a few transfers instead of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.record import Field, Record, columns, width
from flowrl_dsl.runtime.table import Table

_CHUNK = 1024


class Replay:
    """Rows for a program's source.  ``total`` counts all rows ever added; the newest ``size`` of them are stored."""

    def __init__(self, data: Any, sizes: Mapping[str, int]):
        """``data`` is the program's, ``sizes`` those of its axes."""
        self.capacity, self.record, self.sizes, self._source = data.capacity, data.stored, dict(sizes), data.source
        self.width = width(self.record, sizes)
        self.total = 0
        self._waiting: list[np.ndarray] = []
        self._fresh: list[np.ndarray] = []
        self._device: Device | None = None
        self._alone: Table | None = None
        self._beside: Table | None = None

    @classmethod
    def of(cls, program: Any, table: Table | None = None) -> Replay:
        """A replay for a program: empty, beside the rows of a data set, or these alone if the program collects nothing."""
        replay = cls(program.data, program.axis_sizes)
        if table is not None and program.data.source.keeps_data:
            replay._beside = table
        elif table is not None:
            replay._alone = table
            replay.restore(len(table.rows), table.rows)
        return replay

    @property
    def grows(self) -> bool:
        """Whether rows are added: not where they are those of a data set, which no checkpoint contains."""
        return self._alone is None

    @property
    def size(self) -> int:
        return min(self.total, self.capacity)

    def add(self, **fields: np.ndarray | jax.Array) -> None:
        """Append steps: each field of the record as [n, ...]."""
        parts = [np.asarray(fields[name], np.float32).reshape(len(fields[name]), -1) for name in self.record]
        self.add_rows(np.concatenate(parts, axis=1))

    def add_rows(self, rows: np.ndarray) -> None:
        """Append rows."""
        self._waiting.append(rows)
        self._fresh.append(rows)
        self.total += len(rows)

    def view(self) -> dict[str, jax.Array]:
        """The storage on the device, all rows included, and ``data`` beside them if the source keeps it.

        Valid until the next call.
        """
        if self._device is None:
            rows = self.take()
            store = partial(self.on_device, rows)
            self._device = store() if self._alone is None else self._alone.stored(store)
        elif self._waiting:
            self._device.insert(self.take())
        return {**self._device.storage, **self.beside()}

    def own(self) -> dict[str, jax.Array]:
        """As :meth:`view`, without what is beside it: what a program that writes to it consumes."""
        self.view()
        assert self._device is not None
        return self._device.storage

    def written(self, storage: dict[str, jax.Array], rows: np.ndarray) -> None:
        """Continue with a storage to which a program has added these rows."""
        assert self._device is not None
        self._device.storage = storage
        self._fresh.append(rows)
        self.total += len(rows)

    def beside(self) -> dict[str, Any]:
        """The entry ``data`` of the storage: the rows of the data set, which all runs of this process share."""
        if self._beside is None:
            return {}
        rows = self._beside.rows
        store = partial(Device, rows, len(rows), len(rows), self.record, self.sizes, self._source)
        return {"data": self._beside.stored(store).storage}

    @property
    def member_axes(self) -> Any:
        """The axes of the members in the storage of a population, as ``Program.joined`` reads them."""
        if not self.grows:
            return None
        own: dict[str, int | None] = dict.fromkeys((*self.record, "size", "total"), 0)
        return own | dict.fromkeys(self.beside())

    def on_device(self, rows: np.ndarray) -> Device:
        """A device storage of the newest rows [n, width]; with a leading axis, of several replays."""
        return Device(rows, self.total, self.capacity, self.record, self.sizes, self._source)

    def take(self) -> np.ndarray:
        """Take the rows not yet on the device, oldest first."""
        rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate([self._none(), *self._waiting])
        self._waiting.clear()
        return rows

    def leave(self) -> np.ndarray:
        """Move all stored rows out, oldest first; afterwards :meth:`take` returns only newer rows."""
        if self._device is None:
            return self.take()
        held = self.view()
        parts = [np.asarray(held[name]).reshape(self.capacity, -1) for name in self.record]
        self._device = None
        return np.concatenate(parts, axis=1)[np.arange(self.total - self.size, self.total) % self.capacity]

    def fresh(self) -> np.ndarray:
        """The rows added since :meth:`saved`, oldest first."""
        # concatenated in place, so that a second call need not repeat it
        self._fresh = [np.concatenate([self._none(), *self._fresh])]
        return self._fresh[0]

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.width), np.float32)

    def saved(self) -> None:
        """Record that a checkpoint contains every row."""
        self._fresh = []

    def restore(self, total: int, rows: np.ndarray) -> None:
        """Restore ``total`` rows, of which ``rows`` are the newest ``min(total, capacity)``."""
        self.total = total
        self._waiting, self._fresh = ([rows] if len(rows) else []), []
        self._device = None


class Device:
    """The newest rows on the device, written in place by the source.

    ``rows`` [n, width] are the newest of ``total``; [m, n, width] are m storages.
    """

    def __init__(self, rows: np.ndarray, total: int, capacity: int, record: Record, sizes: Mapping[str, int], source: Any):
        self.capacity = capacity
        *lead, _, across = rows.shape
        rows = rows[..., -capacity:, :]
        ring = np.zeros((*lead, capacity, across), np.float32)
        ring[..., np.arange(total - rows.shape[-2], total) % capacity, :] = rows
        # a separate copy: the storage is donated, and memory shared with NumPy cannot be
        parts = {name: jnp.array(part, copy=True) for name, part in columns(ring, record, sizes).items()}
        counts = {"size": jnp.full(lead, min(total, capacity), jnp.int32), "total": jnp.full(lead, total, jnp.int32)}
        self.storage: dict[str, jax.Array] = parts | counts
        self._write = _writer(source, tuple(record.items()), tuple(sizes.items()), bool(lead))

    def insert(self, rows: np.ndarray) -> None:
        """Add rows [(m,) n, width]; only the newest of more than the capacity are written."""
        many, chunk = rows.shape[-2], min(_CHUNK, self.capacity)
        if many > chunk:
            skipped = max(0, many - self.capacity)
            self.storage["total"] = self.storage["total"] + skipped
            self._insert_many(rows[..., skipped:, :], chunk)
        else:
            self._put(rows, many)

    def _insert_many(self, rows: np.ndarray, chunk: int) -> None:
        # chunks of one size share one compiled program, for any length of the warm-up
        for start in range(0, rows.shape[-2], chunk):
            part = rows[..., start : start + chunk, :]
            padded = np.zeros((*rows.shape[:-2], chunk, rows.shape[-1]), np.float32)
            padded[..., : part.shape[-2], :] = part
            self._put(padded, part.shape[-2])

    def _put(self, rows: np.ndarray, count: int) -> None:
        self.storage = self._write(self.storage, rows, np.int32(count))


@cache
def _writer(source: Any, record: tuple[tuple[str, Field], ...], sizes: tuple[tuple[str, int], ...], many: bool) -> Any:
    """The compiled ``source.insert`` of rows, in place; with ``many``, in each of several storages."""

    def write(storage: dict[str, jax.Array], rows: jax.Array, count: jax.Array) -> dict[str, jax.Array]:
        return source.insert(storage, columns(rows, dict(record), dict(sizes)), count)

    return jax.jit(jax.vmap(write, in_axes=(0, 0, None)) if many else write, donate_argnums=0)
