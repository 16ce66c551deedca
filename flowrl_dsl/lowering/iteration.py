"""An iteration as one executable: acting in copies of a pure world, storing their steps, and the updates after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from flowrl_dsl.record import width

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program


class Copies(Protocol):
    """N copies of a pure world, a hashable value: one that equals another has its executables.

    Their episodes are a tree of arrays with the fields ``obs`` [N, O], ``last_total`` [N] and ``last_length`` [N].
    """

    def advance(self, episodes: Any, actions: jax.Array, active: jax.Array, keys: jax.Array, number: jax.Array) -> Any:
        """The episodes after step ``number``, and of that step next observations, rewards, terminal and truncated [N]."""
        ...


class Counts(NamedTuple):
    """Numbers of an iteration: ``acted`` and ``stepped`` before it by the policy and by the world, and what it does."""

    acted: Any
    stepped: Any
    steps: Any
    updates: Any


class Ends(NamedTuple):
    """The episodes that ended at each step [T, N]: whether one did, its return, and its length in frames."""

    over: jax.Array
    total: jax.Array
    length: jax.Array


class Iterated(NamedTuple):
    """What an iteration leaves.

    ``rows`` [T N, width] are the stored steps in order, as the record has them, and ``ends`` the episodes that they ended;
    the first ``steps`` of T count.  The metrics are those of ``Program.update``.
    """

    state: Any
    storage: Any
    episodes: Any
    rows: jax.Array
    ends: Ends
    metrics: dict[str, jax.Array]


def iterated(
    program: Program,
    copies: Copies,
    state: Any,
    storage: Mapping[str, Any],
    episodes: Any,
    keys: jax.Array,
    counts: Counts,
    hyper: Any,
) -> Iterated:
    """``counts.steps`` times act and step, then ``counts.updates`` updates.  T is the capacity of the storage over N."""
    many = len(keys)
    longest = program.data.capacity // many
    none = Ends(jnp.zeros((longest, many), bool), jnp.zeros((longest, many)), jnp.zeros((longest, many), jnp.int32))
    rows = jnp.zeros((longest, many, width(program.data.stored, program.axis_sizes)))
    everyone = jnp.ones(many, bool)

    def step(k: jax.Array, carry: Any) -> Any:
        storage, episodes, rows, ends = carry
        acted = program._act("explore", state, episodes.obs, counts.acted + k, hyper)
        after, (s_next, r, d, cut) = copies.advance(episodes, acted["action"], everyone, keys, counts.stepped + k + 1)
        given = {"s": episodes.obs, "a": acted["action"], "r": r, "d": d, "end": d | cut, "s_next": s_next}
        fields = _fields(program, given | acted, many)
        storage = program.data.source.insert(storage, fields, jnp.int32(many))
        flat = jnp.concatenate([value.reshape(many, -1) for value in fields.values()], axis=1)
        now = Ends(d | cut, after.last_total, after.last_length)
        return storage, after, rows.at[k].set(flat), jax.tree.map(lambda all, one: all.at[k].set(one), ends, now)

    begin = dict(storage), episodes, rows, none
    stored, episodes, rows, ends = jax.lax.fori_loop(0, counts.steps, step, begin)
    state, metrics = program._update(state, stored, counts.updates, hyper)
    return Iterated(state, stored, episodes, rows.reshape(longest * many, -1), ends, metrics)


def _fields(program: Program, given: Mapping[str, Any], many: int) -> dict[str, jax.Array]:
    """The fields of the record as the storage has them, in the order of the record."""
    sizes = program.axis_sizes
    return {
        name: jnp.asarray(given[name], jnp.float32).reshape(many, *field.shape(sizes))
        for name, field in program.data.stored.items()
    }
