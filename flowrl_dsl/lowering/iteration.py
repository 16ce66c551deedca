"""An iteration as one executable: acting in copies of a pure world, storing their steps, and the updates among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from flowrl_dsl.graph.nodes import RAN
from flowrl_dsl.record import width

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program

Metrics = dict[str, jax.Array]


class Copies(Protocol):
    """N copies of a pure world, a hashable value: one that equals another has its executables.

    Their episodes are a tree of arrays with the fields ``obs`` [N, O], ``last_total`` [N] and ``last_length`` [N].
    """

    def advance(self, episodes: Any, actions: jax.Array, active: jax.Array, keys: jax.Array, number: jax.Array) -> Any:
        """The episodes after step ``number``, and of that step next observations, rewards, terminal and truncated [N]."""
        ...


class Counts(NamedTuple):
    """Numbers of an iteration, inputs of its executable.

    ``acted`` and ``stepped`` steps before it by the policy and by the world; ``steps`` of every copy in it.  There are
    ``between`` updates after each of its actions, before the world is stepped, and ``after`` updates at its end.  None, in
    place of a number, leaves out the code for them.
    """

    acted: Any
    stepped: Any
    steps: Any
    between: Any = None
    after: Any = None


class Held(NamedTuple):
    """What one iteration leaves to the next: the learner's state, the storage of its source, and the episodes."""

    state: Any
    storage: Any
    episodes: Any


class Ends(NamedTuple):
    """The episodes that ended at each step [T, N]: whether one did, its return, and its length in frames."""

    over: jax.Array
    total: jax.Array
    length: jax.Array


class Iterated(NamedTuple):
    """The result of an iteration.

    ``rows`` [T, N, width] are the stored steps, as the record has them, and ``ends`` the episodes that they ended; the
    first ``steps`` of T count.  ``metrics`` are those of ``Program.update``: [T] of updates between actions, [1] of updates
    at the end.
    """

    held: Held
    rows: jax.Array
    ends: Ends
    metrics: Metrics


class _Carry(NamedTuple):
    """What one step hands to the next; ``told`` [T, metrics] are the metrics of the updates between actions."""

    held: Held
    rows: jax.Array
    ends: Ends
    told: jax.Array


def iterated(
    program: Program,
    copies: Copies,
    longest: int,
    held: Held,
    beside: Mapping[str, Any],
    keys: jax.Array,
    counts: Counts,
    hyper: Any,
) -> Iterated:
    """``counts.steps`` <= T = ``longest`` times: act, update, step and store; then the updates at the end.

    ``beside`` are entries of the storage that stay as they are, for updates alone.
    """
    many, names = len(keys), _told(program)

    def step(k: jax.Array, carry: _Carry) -> _Carry:
        (state, storage, episodes), rows, ends, told = carry
        acted = program._act("explore", state, episodes.obs, counts.acted + k, hyper)
        if counts.between is not None:
            state, metrics = program._update(state, {**storage, **beside}, counts.between, hyper)
            told = told.at[k].set(jnp.stack([metrics[name] for name in names]))
            storage = _once_read(storage, state)
        number = counts.stepped + k + 1
        after, (s_next, r, d, cut) = copies.advance(episodes, acted["action"], jnp.ones(many, bool), keys, number)
        given = {"s": episodes.obs, "a": acted["action"], "r": r, "d": d, "end": d | cut, "s_next": s_next}
        fields = _fields(program, given | acted, many)
        storage = program.data.source.insert(storage, fields, jnp.int32(many))
        flat = jnp.concatenate([value.reshape(many, -1) for value in fields.values()], axis=1)
        now = Ends(d | cut, after.last_total, after.last_length)
        ends = jax.tree.map(lambda all, one: all.at[k].set(one), ends, now)
        return _Carry(Held(state, storage, after), rows.at[k].set(flat), ends, told)

    begin = _begin(program, longest, many, held, 0 if counts.between is None else len(names))
    held, rows, ends, told = jax.lax.fori_loop(0, counts.steps, step, begin)
    if counts.after is None:
        return Iterated(held, rows, ends, {} if counts.between is None else dict(zip(names, told.T, strict=True)))
    state, last = program._update(held.state, {**held.storage, **beside}, counts.after, hyper)
    return Iterated(held._replace(state=state), rows, ends, {name: value[None] for name, value in last.items()})


def _begin(program: Program, longest: int, many: int, held: Held, metrics: int) -> _Carry:
    """What the first step is given: nothing has ended, nothing is stored of this iteration."""
    none = Ends(jnp.zeros((longest, many), bool), jnp.zeros((longest, many)), jnp.zeros((longest, many), jnp.int32))
    rows = jnp.zeros((longest, many, width(program.data.stored, program.axis_sizes)))
    return _Carry(held._replace(storage=dict(held.storage)), rows, none, jnp.zeros((longest, metrics)))


def _once_read(storage: Mapping[str, Any], state: Any) -> Mapping[str, Any]:
    """The storage, of which the place of the next row depends on the updates that have read it.

    XLA therefore writes the row after they have; without an order of the two it copies all of the storage in every step.
    """
    # the number of updates is never negative, but a compiler does not conclude that 0 is added
    return {**storage, "total": storage["total"] + jnp.minimum(state["step"], 0)}


def _told(program: Program) -> list[str]:
    """The names of what an update reports: the metrics and their flags."""
    return [name for metric in program.metric_names for name in (metric, f"{RAN}{metric}")]


def _fields(program: Program, given: Mapping[str, Any], many: int) -> dict[str, jax.Array]:
    """The fields of the record as the storage has them, in the order of the record."""
    sizes = program.axis_sizes
    return {
        name: jnp.asarray(given[name], jnp.float32).reshape(many, *field.shape(sizes))
        for name, field in program.data.stored.items()
    }
