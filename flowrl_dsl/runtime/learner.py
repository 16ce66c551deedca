"""The learner's state as named arrays and back, and the means of its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.lowering.program import RAN
from flowrl_dsl.runtime.checkpoint import Expected
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.table import Table


def initial(program: Any, seed: int, table: Table | None) -> Any:
    """The state before the first update; the moments of a normalizer that asks for those of a data set are set."""
    state = program.init(seed)
    if table is None or not program.data.moments:
        return state
    return state | {"normalizer": {name: jnp.array(value) for name, value in table.moments.items()}}


def to_arrays(state: Any) -> dict[str, np.ndarray]:
    """Every leaf of the state by its path; waits for the device."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(state))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(template: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A state with the structure of ``template`` and the values of ``arrays``.

    Raises FRL0413 if names, shapes or types differ, that is, if the arrays belong to another program.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    if set(names) != set(arrays):
        odd = sorted(set(names) ^ set(arrays))[:3]
        raise RunError("FRL0413", "the checkpoint belongs to another program", f"only one of them has {', '.join(odd)}")
    leaves = [_leaf(name, leaf, arrays[name]) for name, (_, leaf) in zip(names, paths, strict=True)]
    return jax.tree_util.tree_unflatten(structure, leaves)


def on_one_device(state: Any) -> Any:
    """A state that each of several devices has, on the first of them."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


def replaced(state: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The state with some of its leaves, by path, replaced; raises FRL0413 for arrays that do not fit."""
    paths, structure = jax.tree_util.tree_flatten_with_path(state)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    if odd := sorted(set(arrays) - set(names)):
        raise RunError("FRL0413", "the checkpoint belongs to another program", f"this one has no {odd[0]}")
    pairs = zip(names, paths, strict=True)
    leaves = [_leaf(name, leaf, arrays[name]) if name in arrays else leaf for name, (_, leaf) in pairs]
    return jax.tree_util.tree_unflatten(structure, leaves)


def expected(state: Any, replay: Replay) -> Expected:
    """The sizes of what a checkpoint of this state and this replay contains."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return Expected(size, replay.width, replay.capacity)


def _leaf(name: str, like: Any, array: np.ndarray) -> jax.Array:
    if array.dtype.kind == "V" and array.dtype.itemsize == like.dtype.itemsize:
        # NumPy's format cannot represent bfloat16 and stores its bytes
        array = array.view(like.dtype)
    if array.shape != like.shape or array.dtype != like.dtype:
        found, expected = f"{array.dtype}{list(array.shape)}", f"{like.dtype}{list(like.shape)}"
        raise RunError("FRL0413", f"the checkpoint has {name} as {found}, the program expects {expected}")
    # a separate copy: the state is donated, and memory shared with NumPy cannot be
    return jnp.array(array, copy=True)


class Means:
    """Means of metrics between two records, summed on the device without synchronisation."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums: Any = None
        self._restored = False

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Add the metrics of ``Program.update``, each of which counts by its flag ``ran.NAME``."""
        self._sums = _add(self._begun(metrics, next(iter(metrics.values())).shape), metrics)

    def add_each(self, metrics: dict[str, jax.Array]) -> None:
        """Add the metrics [T] of T calls of ``Program.update``, in their order: the sums have the bits of T additions."""
        self._sums = _add_each(self._begun(metrics, ()), metrics)

    def _begun(self, metrics: dict[str, jax.Array], shape: tuple[int, ...]) -> Any:
        """The sums so far, of metrics of this shape."""
        names = _reported(metrics)
        if self._restored and self._names != names:
            raise RunError("FRL0413", "the checkpoint has means of other metrics than the program reports")
        self._restored = False
        if self._sums is None:
            self._names = names
            return jnp.zeros((2, len(names), *shape))
        return self._sums

    def take(self) -> dict[str, float]:
        """The means, NaN for metrics never reported; waits for the device, and resets the sums."""
        if self._sums is None:
            return {}
        sums, counts = np.asarray(self._sums)
        self._sums = jnp.zeros_like(self._sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / counts
        return dict(zip(self._names, means.tolist(), strict=True))

    def snapshot(self) -> dict[str, Any]:
        return {"names": self._names, "sums": None if self._sums is None else np.array(self._sums)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from :meth:`snapshot`; raises FRL0413 for sums of another number of metrics."""
        names, sums = snapshot["names"], snapshot["sums"]
        if sums is not None and (sums.shape != (2, len(names)) or sums.dtype != np.float32):
            raise RunError("FRL0413", f"the checkpoint has {sums.dtype}{list(sums.shape)} sums of {len(names)} metrics")
        self._names, self._restored = names, sums is not None
        self._sums = None if sums is None else jnp.array(sums, copy=True)

    @staticmethod
    def joined(parts: Sequence[Means]) -> Means:
        """The stacked sums of several runs, for metrics with a member axis."""
        whole = Means()
        whole._names = parts[0]._names
        if all(part._sums is not None for part in parts):
            whole._sums = jnp.stack([part._sums for part in parts], axis=-1)
        return whole

    def part(self, k: int) -> Means:
        """The sums of one member."""
        one = Means()
        one._names, one._sums = self._names, None if self._sums is None else self._sums[..., k]
        return one


def _reported(metrics: Iterable[str]) -> list[str]:
    """The names of metrics, without those of their flags, in order."""
    return sorted(name for name in metrics if not name.startswith(RAN))


@jax.jit
def _add(sums: jax.Array, metrics: dict[str, jax.Array]) -> jax.Array:
    names = _reported(metrics)
    columns = [metrics[name] for name in names], [metrics[f"{RAN}{name}"] for name in names]
    return sums + jnp.asarray(columns, jnp.float32)


@jax.jit
def _add_each(sums: jax.Array, metrics: dict[str, jax.Array]) -> jax.Array:
    return jax.lax.scan(lambda total, one: (_add(total, one), None), sums, metrics)[0]
