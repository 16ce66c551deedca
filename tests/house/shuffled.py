"""A source of batches: the steps in a shuffled order, each once before any comes again; and its regime."""

from __future__ import annotations

from typing import Any

from pydantic import Field as Option

from flowrl_dsl.components.data import Regime, Sampling, Source
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@register
class Shuffled(Source):
    """Rows ``total`` modulo the capacity, as a ring; batch k holds the places that the k-th part of a permutation names.

    A permutation is made of the step at which its pass began, so that it needs no memory of its own.
    """

    name = "shuffled"

    envs: int = Option(1, ge=1, description="environments stepped side by side")

    @classmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int, following: bool, ahead: int, chunked: bool) -> Source:
        if horizon > 1 or following or ahead:
            raise ValueError("shuffled steps have no order that later steps could follow")
        return cls(envs=envs)

    def insert(self, storage: Any, rows: Any, count: Any) -> Any:
        capacity, many = storage["r"].shape[0], rows["r"].shape[0]
        position = jnp.arange(many)
        places = jnp.where(position < count, (storage["total"] + position) % capacity, capacity + position)
        written = {name: storage[name].at[places].set(part, mode="drop") for name, part in rows.items()}
        size = jnp.minimum(storage["size"] + count, capacity)
        return {**written, "size": size, "total": storage["total"] + count}

    def memory(self, capacity: int) -> Any:
        """How many rows of the present pass have been drawn, and the number of the pass."""
        return {"drawn": jnp.zeros((), jnp.int32), "passes": jnp.zeros((), jnp.int32)}

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """The next ``count`` rows of a permutation of those that are there; a pass that is over begins anew."""
        over = memory["drawn"] + count > storage["size"]
        drawn = jnp.where(over, 0, memory["drawn"])
        passes = memory["passes"] + over
        capacity = storage["r"].shape[0]
        order = jax.random.uniform(jax.random.fold_in(jax.random.PRNGKey(7), passes), (capacity,))
        order = jnp.argsort(jnp.where(jnp.arange(capacity) < storage["size"], order, 2.0))
        places = order[(drawn + jnp.arange(count)) % storage["size"]]
        return {"drawn": drawn + count, "passes": passes}, places

    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        return {name: column[places] for name, column in storage.items() if name not in ("size", "total", "end")}


@register
class Passes(Regime):
    """As off_policy, but every stored step is learned from equally often."""

    name = "passes"
    keeps = "shuffled"
