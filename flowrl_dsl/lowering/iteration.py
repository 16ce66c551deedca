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
    """What one step hands to the next; ``told`` [T, metrics] are the metrics of the updates between actions.

    ``taken`` are the fields of the step, which the next one stores.  XLA computes what a step hands on once; of a value
    that a step writes in two places it computes each on its own, and their last bits differ, so that a storage restored from
    ``rows`` would not be the one that was.
    """

    held: Held
    rows: jax.Array
    ends: Ends
    told: jax.Array
    taken: dict[str, jax.Array]


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
        (state, storage, episodes), rows, ends, told, _ = _stored(program, many, k, carry)
        acted = program._act("explore", state, episodes.obs, counts.acted + k, hyper)
        if counts.between is not None:
            state, metrics = program._update(state, {**storage, **beside}, counts.between, hyper)
            told = told.at[k].set(jnp.stack([metrics[name] for name in names]))
        number = counts.stepped + k + 1
        after, (s_next, r, d, cut) = copies.advance(episodes, acted["action"], jnp.ones(many, bool), keys, number)
        given = {"s": episodes.obs, "a": acted["action"], "r": r, "d": d, "end": d | cut, "s_next": s_next}
        taken = _fields(program, given | acted, many)
        now = Ends(d | cut, after.last_total, after.last_length)
        ends = jax.tree.map(lambda all, one: all.at[k].set(one), ends, now)
        return _Carry(Held(state, storage, after), rows, ends, told, taken)

    begin = _begin(program, longest, many, held, 0 if counts.between is None else len(names))
    held, rows, ends, told, _ = _stored(program, many, counts.steps, jax.lax.fori_loop(0, counts.steps, step, begin))
    if counts.after is None:
        return Iterated(held, rows, ends, {} if counts.between is None else dict(zip(names, told.T, strict=True)))
    state, last = program._update(held.state, {**held.storage, **beside}, counts.after, hyper)
    return Iterated(held._replace(state=state), rows, ends, {name: value[None] for name, value in last.items()})


def _begin(program: Program, longest: int, many: int, held: Held, metrics: int) -> _Carry:
    """What the first step is given: nothing has ended, nothing is stored of this iteration."""
    none = Ends(jnp.zeros((longest, many), bool), jnp.zeros((longest, many)), jnp.zeros((longest, many), jnp.int32))
    sizes = program.axis_sizes
    rows = jnp.zeros((longest, many, width(program.data.stored, sizes)))
    nothing = {name: jnp.zeros((many, *field.shape(sizes))) for name, field in program.data.stored.items()}
    return _Carry(held._replace(storage=dict(held.storage)), rows, none, jnp.zeros((longest, metrics)), nothing)


def _stored(program: Program, many: int, k: jax.Array, carry: _Carry) -> _Carry:
    """What the step before step k has taken is in the storage, and among the rows for the host."""
    # in the order of the record: that of a loop's dictionaries is alphabetical
    taken = {name: carry.taken[name] for name in program.data.stored}
    flat = jnp.concatenate([one.reshape(many, -1) for one in taken.values()], axis=1)
    storage = program.data.source.insert(carry.held.storage, taken, jnp.where(k > 0, many, 0).astype(jnp.int32))
    return carry._replace(held=carry.held._replace(storage=storage), rows=carry.rows.at[k - 1].set(flat))


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
