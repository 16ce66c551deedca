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
        self._place(np.zeros((0, self.width), np.float32))

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
        if len(self._waiting) == 1 and len(self._waiting[0]) <= min(_CHUNK, self.capacity):
            self._write(self._waiting[0], len(self._waiting[0]))
        elif self._waiting:
            self._insert_many(np.concatenate(self._waiting))
        self._waiting.clear()
        return self._storage | {"total": np.int32(self.total)}

    def fresh(self) -> np.ndarray:
        """The rows added since :meth:`saved`, oldest first."""
        # joined in place, because a run that asks twice should not join twice
        self._fresh = [np.concatenate([np.zeros((0, self.width), np.float32), *self._fresh])]
        return self._fresh[0]

    def saved(self) -> None:
        """Say that a checkpoint now holds every row."""
        self._fresh = []

    def restore(self, total: int, rows: np.ndarray) -> None:
        """Become a ring of ``total`` rows of which ``rows`` are the newest ``min(total, capacity)``."""
        self.total = total
        self._waiting, self._fresh = [], []
        self._place(rows)

    def _place(self, rows: np.ndarray) -> None:
        ring = np.zeros((self.capacity, self.width), np.float32)
        ring[np.arange(self.total - len(rows), self.total) % self.capacity] = rows
        # a copy of our own: the storage is donated, and memory shared with NumPy cannot be
        parts = {name: jnp.array(part, copy=True) for name, part in _split(ring, *self.sizes).items()}
        self._storage = parts | {"size": jnp.int32(self.size)}
        self._cursor = jnp.int32(self.total % self.capacity)

    def _insert_many(self, rows: np.ndarray) -> None:
        # rows that would be overwritten at once still move the cursor
        skipped = max(0, len(rows) - self.capacity)
        self._cursor = (self._cursor + skipped) % self.capacity
        rows = rows[skipped:]
        # chunks of one size are one compiled program, however long the warm-up was
        chunk = min(_CHUNK, self.capacity)
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            padded = np.zeros((chunk, self.width), np.float32)
            padded[: len(part)] = part
            self._write(padded, len(part))

    def _write(self, rows: np.ndarray, count: int) -> None:
        self._storage, self._cursor = _write(self._storage, self._cursor, rows, np.int32(count), self.sizes)


def _split(rows: np.ndarray | jax.Array, obs: int, action: int) -> dict[str, np.ndarray | jax.Array]:
    end = obs + action
    return {
        "s": rows[:, :obs],
        "a": rows[:, obs:end],
        "r": rows[:, end],
        "d": rows[:, end + 1],
        "end": rows[:, end + 2],
        "s_next": rows[:, end + 3 :],
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
