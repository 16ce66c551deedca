"""The replay: a ring of transitions on the device, and on the host the rows that no checkpoint holds yet.

A row is ``s, a, r, d, end, s_next`` side by side, float32; ``end`` is 1 where an episode is over, by a true end (d) or by
a time limit.  Rows wait on the host until the device needs them, so that the warm-up costs a few transfers and not
thousands.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

_CHUNK = 1024


class Replay:
    """A ring of ``capacity`` rows.  ``total`` counts the rows ever added; the newest ``size`` of them are kept."""

    def __init__(self, capacity: int, obs_size: int, action_size: int):
        self.capacity = capacity
        self.sizes = (obs_size, action_size)
        self.width = 2 * obs_size + action_size + 3
        self.total = 0
        self._waiting: list[np.ndarray] = []
        self._fresh: list[np.ndarray] = []
        self._ring: Ring | None = None

    @property
    def size(self) -> int:
        return min(self.total, self.capacity)

    def add(self, s: np.ndarray, a: np.ndarray, r: np.ndarray, d: np.ndarray, end: np.ndarray, s_next: np.ndarray) -> None:
        """Append transitions ([n, O], [n, A], [n], [n], [n], [n, O])."""
        parts = [s, a, r[:, None], d[:, None], end[:, None], s_next]
        self.add_rows(np.concatenate(parts, axis=1, dtype=np.float32))

    def add_rows(self, rows: np.ndarray) -> None:
        """Append rows as they are."""
        self._waiting.append(rows)
        self._fresh.append(rows)
        self.total += len(rows)

    def view(self) -> dict[str, jax.Array]:
        """The arrays on the device, all rows included.  Valid until the next call."""
        if self._ring is None:
            self._ring = Ring(self.take(), self.total, self.capacity, self.sizes)
        elif self._waiting:
            self._ring.insert(self.take())
        return self._ring.storage | {"total": np.int32(self.total)}

    def take(self) -> np.ndarray:
        """The rows that wait for the device, oldest first; they wait no longer."""
        rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate([self._none(), *self._waiting])
        self._waiting.clear()
        return rows

    def leave(self) -> np.ndarray:
        """All rows that are kept, oldest first; they go on somewhere else, and :meth:`take` gives what comes after them."""
        if self._ring is None:
            return self.take()
        held = self.view()
        columns = [np.asarray(held[name]).reshape(self.capacity, -1) for name in ("s", "a", "r", "d", "end", "s_next")]
        self._ring = None
        return np.concatenate(columns, axis=1)[np.arange(self.total - self.size, self.total) % self.capacity]

    def fresh(self) -> np.ndarray:
        """The rows added since :meth:`saved`, oldest first."""
        # joined in place, because a run that asks twice should not join twice
        self._fresh = [np.concatenate([self._none(), *self._fresh])]
        return self._fresh[0]

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.width), np.float32)

    def saved(self) -> None:
        """Say that a checkpoint now holds every row."""
        self._fresh = []

    def restore(self, total: int, rows: np.ndarray) -> None:
        """Become a ring of ``total`` rows of which ``rows`` are the newest ``min(total, capacity)``."""
        self.total = total
        self._waiting, self._fresh = ([rows] if len(rows) else []), []
        self._ring = None


class Ring:
    """The newest rows on the device, written in place.

    ``rows`` [n, width] are the newest of ``total``; with an axis before these, [m, n, width], as many rings side by side.
    """

    def __init__(self, rows: np.ndarray, total: int, capacity: int, sizes: tuple[int, int]):
        self.capacity, self.sizes = capacity, sizes
        *lead, _, width = rows.shape
        rows = rows[..., -capacity:, :]
        ring = np.zeros((*lead, capacity, width), np.float32)
        ring[..., np.arange(total - rows.shape[-2], total) % capacity, :] = rows
        # a copy of our own: the storage is donated, and memory shared with NumPy cannot be
        parts = {name: jnp.array(part, copy=True) for name, part in _split(ring, *sizes).items()}
        self.storage = parts | {"size": jnp.full(lead, min(total, capacity), jnp.int32)}
        self._cursor = jnp.full(lead, total % capacity, jnp.int32)
        self._write = _write_each if lead else _write

    def insert(self, rows: np.ndarray) -> None:
        """Add rows [(m,) n, width] in the place of the oldest."""
        many, chunk = rows.shape[-2], min(_CHUNK, self.capacity)
        if many > chunk:
            # rows that would be overwritten at once still move the cursor
            skipped = max(0, many - self.capacity)
            self._cursor = (self._cursor + skipped) % self.capacity
            self._insert_many(rows[..., skipped:, :], chunk)
        else:
            self._put(rows, many)

    def _insert_many(self, rows: np.ndarray, chunk: int) -> None:
        # chunks of one size are one compiled program, however long the warm-up was
        for start in range(0, rows.shape[-2], chunk):
            part = rows[..., start : start + chunk, :]
            padded = np.zeros((*rows.shape[:-2], chunk, rows.shape[-1]), np.float32)
            padded[..., : part.shape[-2], :] = part
            self._put(padded, part.shape[-2])

    def _put(self, rows: np.ndarray, count: int) -> None:
        self.storage, self._cursor = self._write(self.storage, self._cursor, rows, np.int32(count), self.sizes)


def _split(rows: np.ndarray | jax.Array, obs: int, action: int) -> dict[str, np.ndarray | jax.Array]:
    end = obs + action
    return {
        "s": rows[..., :obs],
        "a": rows[..., obs:end],
        "r": rows[..., end],
        "d": rows[..., end + 1],
        "end": rows[..., end + 2],
        "s_next": rows[..., end + 3 :],
    }


@partial(jax.jit, donate_argnums=(0, 1), static_argnums=4)
def _write(
    storage: dict[str, jax.Array], cursor: jax.Array, rows: jax.Array, count: jax.Array, sizes: tuple[int, int]
) -> tuple[dict[str, jax.Array], jax.Array]:
    """The first ``count`` of ``rows`` written from ``cursor`` on; in place, because the storage is donated."""
    capacity, many = storage["r"].shape[0], rows.shape[0]
    parts = _split(rows, *sizes)
    if many == 1:
        # never wraps, and a slice is half the cost of a scatter
        written = {k: jax.lax.dynamic_update_slice_in_dim(storage[k], part, cursor, 0) for k, part in parts.items()}
    else:
        position = jnp.arange(many, dtype=jnp.int32)
        rows_at = jnp.where(position < count, (cursor + position) % capacity, capacity + position)
        written = {k: storage[k].at[rows_at].set(part, mode="drop", unique_indices=True) for k, part in parts.items()}
    size = jnp.minimum(storage["size"] + count, capacity)
    return written | {"size": size}, (cursor + count) % capacity


@partial(jax.jit, donate_argnums=(0, 1), static_argnums=4)
def _write_each(
    storage: dict[str, jax.Array], cursor: jax.Array, rows: jax.Array, count: jax.Array, sizes: tuple[int, int]
) -> tuple[dict[str, jax.Array], jax.Array]:
    """:func:`_write` in each of several rings."""
    return jax.vmap(partial(_write, sizes=sizes), in_axes=(0, 0, 0, None))(storage, cursor, rows, count)
