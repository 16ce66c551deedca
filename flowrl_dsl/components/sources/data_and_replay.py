"""The rows of a data set, which stay, beside a ring of those that training collects."""

from __future__ import annotations

from typing import Any, ClassVar

from flowrl_dsl.components.sources.ring import Ring, reach
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@register
class DataAndReplay(Ring):
    """The storage of the ring, and ``data``, a second storage with the N rows of a data set in time order.

    Place p < N is row p of the data set, place N + k is place k of the ring.  Windows of the data set end with its episodes,
    in which rows follow one another.
    """

    name = "data_and_replay"
    keeps_data: ClassVar[bool] = True

    def _drawn(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """As the sampling draws from one storage of all rows, of which the first ``rows`` are those of the data set."""
        rows = _rows(storage)
        both = {"rows": rows, "size": rows + storage["size"], "total": rows + storage["total"]}
        return self.sampling.draw(memory, both, key, count)

    def _whole(self, storage: Any, places: Any) -> Any:
        (data, old), (replay, new), of_data = _apart(storage, places)
        of_old = jnp.all(reach(data, old, self.horizon, 1)[1], axis=1)
        return jnp.where(of_data, of_old, super()._whole(replay, new))

    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        (data, old), (replay, new), of_data = _apart(storage, places)

        def chosen(one: Any, other: Any) -> Any:
            return jnp.where(jnp.reshape(of_data, (-1,) + (1,) * (one.ndim - 1)), one, other)

        return jax.tree.map(chosen, self._gathered(data, old, 1), self._gathered(replay, new, self.stride))


def _apart(storage: Any, places: Any) -> tuple[tuple[Any, Any], tuple[Any, Any], Any]:
    """The data set and the ring, each with the places in it, and which are the former's; 0 stands for those of the other."""
    rows = _rows(storage)
    of_data = places < rows
    replay = {name: value for name, value in storage.items() if name != "data"}
    return (storage["data"], jnp.where(of_data, places, 0)), (replay, jnp.where(of_data, 0, places - rows)), of_data


def _rows(storage: Any) -> int:
    """The number of rows of the data set."""
    return storage["data"]["r"].shape[0]
