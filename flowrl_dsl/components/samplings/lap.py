"""Loss-adjusted prioritised sampling."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field as Option

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.data import Sampling
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.record import Field, Record
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register

_BLOCK = 256
"""Number of rows per block."""


@kernel
def lap_priority(q, y, alpha, floor):
    """max(max_e |Q_e - y|, floor)^alpha for each transition."""
    return jnp.maximum(jnp.max(jnp.abs(q - y), axis=0), floor) ** alpha


def with_new_rows(memory: Any, storage: Any) -> Any:
    """Rows added since the last update get the largest priority."""
    places = jnp.arange(memory["priority"].shape[0])
    newest = storage["total"] - 1
    number = newest - (newest - places) % places.shape[0]
    fresh = (number >= memory["seen"]) & (number >= 0)
    priority = jnp.where(fresh, memory["largest"], memory["priority"])
    return memory | {"priority": priority, "seen": storage["total"]}


def prioritized_rows(key: Any, memory: Any, storage: Any, count: int) -> Any:
    """Rows drawn in proportion to their priorities, with replacement: [count].

    First a block is drawn, then one of its rows: in float32 a cumulative sum over a million rows is too coarse for rows of
    low priority, and so is a random number in [0, 1).
    """
    table = memory["priority"]
    blocks = jnp.pad(table, (0, -len(table) % _BLOCK)).reshape(-1, _BLOCK)
    block_key, place_key = jax.random.split(key)
    sums = jnp.cumsum(jnp.sum(blocks, axis=1))
    block = jnp.searchsorted(sums, jax.random.uniform(block_key, (count,)) * sums[-1], side="right")
    # a draw may round up to the total
    block = jnp.minimum(block, len(blocks) - 1)
    inside = jnp.cumsum(blocks[block], axis=1)
    place = jnp.sum(inside <= jax.random.uniform(place_key, (count, 1)) * inside[:, -1:], axis=1)
    return jnp.minimum(block * _BLOCK + jnp.minimum(place, _BLOCK - 1), storage["size"] - 1)


@register
class LAP(Sampling):
    """Transitions are drawn in proportion to ``max(max_e |Q_e(s, a) - y|, floor)^alpha``, computed at their last draw.

    Intended for a loss that is linear beyond ``floor`` (``critic { kind = q(huber = 1.0) }``): the expected gradient is then
    that of a loss over the uniform distribution, and no importance weights are needed.  New transitions get the largest
    priority so far, which is recomputed from the replay buffer every ``refresh`` updates.
    """

    name = "lap"
    paper: ClassVar[str] = "arXiv:2007.06049"
    feedback: ClassVar[Record] = {"priority": Field()}
    in_order: ClassVar[bool] = True

    alpha: Scalar = option("exponent: 0 draws uniformly", "0.4", NOT_NEGATIVE)
    floor: Scalar = option("lower bound on the error", "1.0", POSITIVE)
    refresh: int = Option(250, ge=1, description="updates between recomputations of the largest priority")

    def report(self, ctx: Context, q: Value, y: Value) -> dict[str, Value]:
        inputs = (q, y, ctx.scalar(self.alpha), ctx.scalar(self.floor))
        expr = call(lap_priority, *map(Arg, range(4)))
        return {"priority": ctx.builder.add("Weights", expr, inputs, Type(("batch",)), "priority")}

    def memory(self, capacity: int) -> Any:
        """Priorities of an empty replay, the largest one so far, and the number of rows with one."""
        return {"priority": jnp.zeros(capacity), "largest": jnp.ones(()), "seen": jnp.zeros((), jnp.int32)}

    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        memory = with_new_rows(memory, storage)
        return memory, prioritized_rows(key, memory, storage, count)

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        """Set the reported priorities of the drawn rows; without an update of the critic they are unchanged.

        A row drawn several times gets the largest reported priority, since the order of duplicate writes is not defined on
        all devices.  The largest priority so far is stored for new rows.
        """
        table = memory["priority"]
        found = jnp.where(feedback["reported"] > 0, feedback["priority"], table[places])
        table = table.at[places].set(0.0).at[places].max(found)
        so_far = jnp.fmax(memory["largest"], jnp.max(table[places]))
        return memory | {"priority": table, "largest": jnp.where(step % self.refresh == 0, jnp.max(table), so_far)}
