"""Every transition once in each epoch, in a new random order."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.components.data import Sampling
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register

_ROUNDS = 6
"""Rounds of the permutation; four suffice for a random-looking one (Luby and Rackoff, 1988)."""


def permuted(key: Any, places: Any, size: Any) -> Any:
    """The images of places in [0, size) under a random permutation of that range, without storing it.

    A Feistel network permutes the pairs of h-bit numbers, 4^h >= size; a result outside of the range is permuted again
    until it lies inside, which keeps the map a permutation (Black and Rogaway, 2002).
    """
    bits = (33 - jax.lax.clz(jnp.maximum(size - 1, 1).astype(jnp.uint32))) // 2
    mask = (jnp.uint32(1) << bits) - 1
    rounds = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def once(x: Any) -> Any:
        left, right = x >> bits, x & mask
        for k in range(_ROUNDS):
            left, right = right, left ^ (_mixed(right ^ rounds[k]) & mask)
        return left << bits | right

    def outside(x: Any) -> Any:
        return jnp.any(x >= size)

    first = once(places.astype(jnp.uint32))
    return jax.lax.while_loop(outside, lambda x: jnp.where(x >= size, once(x), x), first).astype(jnp.int32)


def _mixed(x: Any) -> Any:
    """A hash of 32 bits: the finalizer of MurmurHash3."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


@register
class Epochs(Sampling):
    """Batches without replacement: each epoch contains every transition at most once, in a new random order.

    The transitions that do not fill a batch at the end of an epoch are left out of it.  With fewer transitions than a batch
    they are drawn with replacement.
    """

    name = "epochs"

    def memory(self, capacity: int) -> Any:
        """The key of the epoch's order, and the number of its rows that have been drawn."""
        return {"key": jnp.zeros(2, jnp.uint32), "drawn": jnp.zeros((), jnp.int32)}

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        size, drawn = storage["size"], memory["drawn"]
        begins = (drawn == 0) | (drawn + count > size)
        own = jnp.where(begins, key, memory["key"])
        start = jnp.where(begins, 0, drawn)
        places = (start + jnp.arange(count, dtype=jnp.int32)) % jnp.maximum(size, 1)
        return {"key": own, "drawn": start + count}, permuted(own, places, size)
