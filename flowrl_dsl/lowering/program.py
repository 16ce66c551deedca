"""The compiled program: ``init``, ``step``, ``update``, ``act`` and ``iterate``, each one executable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.graph.nodes import RAN, Graph, Node
from flowrl_dsl.graph.observed import ranges_read
from flowrl_dsl.lowering.devices import Split
from flowrl_dsl.lowering.evaluate import interpret, run_schedule
from flowrl_dsl.lowering.iteration import Copies, Counts, Held, Iterated, iterated
from flowrl_dsl.lowering.schedule import Step, schedule
from flowrl_dsl.record import Layout, Record, counted

State = dict[str, Any]
Hyper = dict[str, Any]
Batch = Mapping[str, jax.Array | np.ndarray]
Storage = Mapping[str, jax.Array | np.ndarray]
Feedback = dict[str, jax.Array]
Carry = tuple[State, dict[str, jax.Array], dict[str, jax.Array]]

MEMORY = "source"
"""The group of the state with the memory of the source."""
ROLLOUT = "rollout"
"""The graph from all steps of a rollout to the fields of its batches."""
_BATCH_STREAM = 3
"""Keys of batches, apart from those of updates (1) and of acting (2)."""


@dataclass(frozen=True)
class Data:
    """The training data of a program: the record of a stored step, and the source that keeps ``capacity`` of them.

    ``source`` is a component of that family; its methods are compiled into the program.  An update draws ``batch`` rows.
    ``moments``: the group ``normalizer`` of the state contains the moments of a data set, set before the first update.
    ``updates``: the number on one rollout, where batches are parts of rollouts.
    """

    stored: Record
    source: Any
    capacity: int
    batch: int
    moments: bool = False
    updates: int = 0


@dataclass(frozen=True)
class Bad:
    """The first non-finite value of an update: its node, the line of the spec it comes from, and the batch."""

    node: str
    line: str
    value: str
    batch: dict[str, np.ndarray]


class Program:
    """An algorithm for one size of observations and actions.

    An action of its graphs is a ``chunk`` of so many successive actions of the task, side by side in the order of time.
    The state is a dictionary of arrays and trees of arrays; ``hyper`` contains the numeric inputs by name: changing one
    does not recompile.  All functions are pure; ``step`` and ``update`` consume (donate) the state they are given.
    """

    def __init__(
        self,
        name: str,
        graphs: Mapping[str, Graph],
        hyper: Mapping[str, float],
        data: Data,
        sizes: tuple[int, int],
        chunk: int = 1,
        layout: Layout | None = None,
    ):
        self.name, self.chunk = name, chunk
        self.graphs = dict(graphs)
        self.hyper = dict(hyper)
        self.data = data
        self.obs_size, self.action_size = sizes
        self.layout = layout
        self._split: Split | None = None
        self._schedules: dict[str, list[Step]] = {key: schedule(graph) for key, graph in graphs.items()}
        self.jit_init = jax.jit(self._init)
        self.jit_step = jax.jit(self._step, donate_argnums=0)
        self.jit_update = jax.jit(self._update, donate_argnums=0)
        self.jit_iterate = jax.jit(partial(iterated, self), static_argnums=(0, 1), donate_argnums=2)
        modes = [key for key, graph in self.graphs.items() if graph.role == "act"]
        self.jit_act = {mode: jax.jit(partial(self._act, mode)) for mode in modes}
        self._read_in_acting = {mode: groups_read(self.graphs[mode]) for mode in modes}
        whole = ((0, self.obs_size),)
        self._acts_on = {mode: whole if layout is None else ranges_read(self.graphs[mode], self.obs_size) for mode in modes}

    # the compiled functions, pure functions of arrays

    def _run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        env = dict(inputs)
        run_schedule(self._schedules[graph], env)
        return {output: env[name] for output, name in self.graphs[graph].outputs.items()}

    def _init(self, key: jax.Array) -> State:
        # a type that is weak at first and strong after an update would have everything compiled twice
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), _named(self._run("init", {"key": key}), "state."))
        memory = self.data.source.memory(self.data.capacity)
        return state if memory is None else state | {MEMORY: memory}

    def _step(self, state: State, batch: Batch, hyper: Hyper) -> tuple[State, dict[str, jax.Array], Feedback]:
        outputs = self._run("step", self.step_inputs(state, batch, hyper))
        return state | _named(outputs, "state."), _named(outputs, "metric."), _named(outputs, "feedback.")

    def _prepared(self, state: State, storage: Storage, hyper: Hyper) -> tuple[Storage, State]:
        """A rollout with the fields its batches read, and the groups of the state once it has been used."""
        if ROLLOUT not in self.graphs:
            return storage, {}
        outputs = self._run(ROLLOUT, self.step_inputs(state, {name: storage[name] for name in self.data.stored}, hyper))
        return {**storage, **_named(outputs, "batch.")}, _named(outputs, "state.")

    def _train(self, state: State, storage: Storage, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """One update on a batch drawn from the storage, with feedback to the source."""
        state, places = self._draw(state, storage)
        batch = self.data.source.gather(storage, places)
        if self._split is not None:
            batch = self._split.batch(batch, self.data.batch)
        state, metrics, feedback = self._step(state, batch, hyper)
        if MEMORY in state:
            state = state | {MEMORY: self.data.source.learn(state[MEMORY], places, feedback, state["step"])}
        return state, metrics

    def _update(self, state: State, storage: Storage, n: jax.Array, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """n updates; a metric is the mean over those updates that reported it, 0 if none did.

        ``ran.NAME``, for every metric, is 1 if an update reported it, else 0.
        """
        names = self.metric_names
        storage, collecting = self._prepared(state, storage, hyper)

        def one(_: jax.Array, carry: Carry) -> Carry:
            state, sums, counts = carry
            state, metrics = self._train(state, storage, hyper)
            for name in names:
                value = metrics[name]
                # the selection changes no value; it prevents a fused multiply-add: metrics are rounded as in ``step``
                sums[name] = sums[name] + jnp.where(jnp.isnan(value), jnp.nan, value)
                counts[name] = counts[name] + metrics.get(f"{RAN}{name}", 1.0)
            return state, sums, counts

        start = {name: jnp.zeros(()) for name in names}, {name: jnp.zeros(()) for name in names}
        state, sums, counts = jax.lax.fori_loop(0, n, one, (state, *start))
        if collecting:
            used = (n > 0) & (state["step"] % self.data.updates == 0)
            state = state | jax.tree.map(partial(jnp.where, used), collecting, {k: state[k] for k in collecting})
        means = {name: sums[name] / jnp.maximum(counts[name], 1.0) for name in names}
        return state, means | {f"{RAN}{name}": jnp.minimum(counts[name], 1.0) for name in names}

    def _act(self, mode: str, state: State, obs: jax.Array, counter: jax.Array, hyper: Hyper) -> dict[str, jax.Array]:
        inputs = {f"state.{name}": value for name, value in state.items()}
        inputs |= {f"hyper.{name}": value for name, value in hyper.items()}
        outputs = self._run(mode, inputs | {"obs": obs, "counter": counter})
        return {"action": outputs["action"], **_named(outputs, "field.")}

    def draw_batch(self, state: State, storage: Storage, hyper: Hyper | None = None) -> Batch:
        """The batch of the next update: a function of the state, and of the numeric inputs if it is part of a rollout."""
        storage, _ = self._prepared(state, storage, self._inputs(self.hyper if hyper is None else hyper))
        return self.data.source.gather(storage, self._draw(state, storage)[1])

    def _draw(self, state: State, storage: Storage) -> tuple[State, jax.Array]:
        """The indices of the next batch, and the state after the source has registered all rows of the storage."""
        key = jax.random.fold_in(jax.random.fold_in(state["key"], _BATCH_STREAM), state["step"])
        memory, places = self.data.source.draw(state.get(MEMORY), storage, key, self.data.batch)
        return (state if memory is None else state | {MEMORY: memory}), places

    @property
    def metric_names(self) -> list[str]:
        """The metrics, without their flags ``ran.NAME``."""
        return [name for name in _named(self.graphs["step"].outputs, "metric.") if not name.startswith(RAN)]

    @staticmethod
    def step_inputs(state: State, batch: Batch, hyper: Hyper) -> dict[str, Any]:
        """The inputs of the graph ``step`` by name."""
        groups = {"state": state, "batch": batch, "hyper": hyper}
        return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}

    def differs_in_numbers_alone(self, other: Program) -> bool:
        """Whether the two are the same function of their inputs, so that this one can run the other with its ``hyper``."""
        here, there = ((one.graphs, one.data, one.obs_size, one.action_size, set(one.hyper)) for one in (self, other))
        return here == there

    # public interface

    def init(self, seed: int) -> State:
        """A fresh state."""
        return self.jit_init(jax.random.PRNGKey(seed))

    def step(self, state: State, batch: Batch, hyper: Hyper) -> tuple[State, dict[str, jax.Array], Feedback]:
        """One update on a given batch, as one executable: new state, metrics, feedback for the source of the batch.

        A metric NAME of a stage under a condition comes with ``ran.NAME``; both are 0 if the stage did not run.
        The state is consumed.  The feedback is empty unless the source requests it.
        """
        return self.jit_step(state, batch, self._inputs(hyper))

    def update(self, state: State, storage: Storage, n: int, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """n updates in one dispatch, each on a batch drawn on the device: new state, means of the metrics.

        Every metric NAME comes with ``ran.NAME``; both are 0 if no update reported it.  The state is consumed.
        """
        return self.jit_update(state, storage, np.int32(n), self._inputs(hyper))

    def act(self, state: State, obs: Any, counter: int | np.integer, mode: str, hyper: Hyper) -> dict[str, jax.Array]:
        """``action`` [n, chunk A] in [-1, 1] for observations [n, O]; ``counter`` selects the random draw.

        In the mode ``explore`` the result also contains the fields of the record that acting fills.
        """
        # each array costs a call time, also one that the compiled function does not read
        read = {group: state[group] for group in self._read_in_acting[mode]}
        return self.jit_act[mode](read, obs, np.int32(counter), self._inputs(hyper))

    def iterate(
        self,
        copies: Copies,
        longest: int,
        held: Held,
        beside: Storage,
        keys: jax.Array,
        counts: Counts,
        hyper: Hyper,
    ) -> Iterated:
        """Steps of copies of a pure world, at most ``longest`` of each, stored, and the updates among them, in one dispatch.

        ``held`` is consumed; ``beside`` are entries of the storage that are not.  The numbers of ``counts`` are inputs: an
        iteration in two parts has the bits of a whole one.
        """
        return self.jit_iterate(copies, longest, held, beside, keys, counts, self._inputs(hyper))

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries of dictionary observations that a world passes to it; none where a world need not select them."""
        return () if self.layout is None else tuple(name for name, _ in self.layout.sizes)

    def acts_on(self, mode: str) -> tuple[tuple[int, int], ...]:
        """The components (start, end) of observations on which actions of a mode depend; the others may be anything."""
        return self._acts_on[mode]

    def acting_size(self, mode: str) -> int:
        """The number P of these components."""
        return counted(self.acts_on(mode))

    def acting_entries(self, mode: str) -> tuple[str, ...]:
        """The entries of which these components consist; none where observations are not read by entries."""
        if self.layout is None:
            return ()
        read = {at for start, end in self.acts_on(mode) for at in range(start, end)}
        places = {name: {at for one in self.layout.ranges((name,)) for at in range(*one)} for name in self.entries}
        return tuple(name for name, place in places.items() if place <= read)

    def placed(self, mode: str, rows: Any) -> Any:
        """Observations [n, O] with the components that a mode acts on, ``rows`` [n, P], and 0 for the others."""
        if rows.shape[1] == self.obs_size:
            return rows
        parts, at, taken = [], 0, 0
        xp: Any = np if isinstance(rows, np.ndarray) else jnp  # nothing is dispatched for arrays of the host
        for start, end in (*self.acts_on(mode), (self.obs_size, self.obs_size)):
            size = end - start
            parts += [xp.zeros((rows.shape[0], start - at), np.float32), rows[:, taken : taken + size]]
            at, taken = end, taken + size
        return xp.concatenate([part for part in parts if part.shape[1]], axis=1)

    @property
    def acting_groups(self) -> set[str]:
        """The groups of the state that acting reads."""
        return set().union(*self._read_in_acting.values())

    def on_device(self, hyper: Hyper) -> Hyper:
        """The numeric inputs as arrays on the device, which calls need not transfer."""
        return {name: jnp.asarray(value) for name, value in self._inputs(hyper).items()}

    def _inputs(self, hyper: Hyper) -> Hyper:
        given = {name: hyper[name] for name in self.hyper}
        return {k: v if isinstance(v, jax.Array) else np.asarray(v, np.float32) for k, v in given.items()}

    def joined(self, storage: Any = 0) -> Program:
        """The program vectorised over members: state, replay, observations, ``hyper`` and results have a member axis.

        ``storage`` are the axes of the members in the replay, None for what they share.  Not bit-identical to single
        members: batched matrix products round differently.
        """
        many = copy.copy(self)
        many.jit_init = jax.jit(jax.vmap(self._init))
        many.jit_step = jax.jit(jax.vmap(self._step), donate_argnums=0)
        many.jit_update = jax.jit(jax.vmap(self._update, in_axes=(0, storage, None, 0)), donate_argnums=0)
        many.jit_act = {mode: jax.jit(jax.vmap(partial(self._act, mode), in_axes=(0, 0, None, 0))) for mode in self.jit_act}
        return many

    def spread(self, split: Split) -> Program:
        """The program whose iterations are computed by several devices, each with its part of the copies and the rows.

        Not bit-identical to one device: sums over a batch are those of its parts.
        """
        many = copy.copy(self)
        many._split = split
        several = split.iteration(self.data)
        many.jit_iterate = jax.jit(partial(iterated, many), static_argnums=(0, 1), donate_argnums=2, **several)
        return many

    # compiled forms

    def examples(self) -> tuple[State, dict[str, jax.ShapeDtypeStruct], Hyper]:
        """Shapes of the arguments of ``step``."""
        state, hyper = self._state_and_hyper()
        return state, self.batch_shapes(), hyper

    def _state_and_hyper(self) -> tuple[State, Hyper]:
        """Shapes of the state and of the numeric inputs."""
        state = jax.eval_shape(self._init, jax.ShapeDtypeStruct((2,), jnp.uint32))
        return state, {name: jax.ShapeDtypeStruct((), jnp.float32) for name in self.hyper}

    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a batch."""
        record, sizes = self.data.source.batch(self.data.stored), self.axis_sizes
        shapes = {name: field.shape(sizes) for name, field in record.items()} | self._derived()
        return {name: jax.ShapeDtypeStruct((self.data.batch, *shape), jnp.float32) for name, shape in shapes.items()}

    def _derived(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one row of the fields that are derived from a rollout."""
        if ROLLOUT not in self.graphs:
            return {}
        shapes = {name: (self.data.capacity, *field.shape(self.axis_sizes)) for name, field in self.data.stored.items()}
        storage = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
        state, hyper = self._state_and_hyper()
        prepared, _ = jax.eval_shape(self._prepared, state, storage, hyper)
        return {name: value.shape[1:] for name, value in prepared.items() if name not in storage}

    @property
    def axis_sizes(self) -> dict[str, int]:
        """The sizes of the axes that the task determines, as steps of it have them."""
        return {"obs": self.obs_size, "action": self.action_size}

    def step_jaxpr(self) -> str:
        """The step as jax traces it."""
        return str(jax.make_jaxpr(self._step)(*self.examples()))

    def step_hlo(self) -> str:
        """The step as XLA optimises it for this machine."""
        return self.jit_step.lower(*self.examples()).compile().as_text() or ""

    def diagnose(self, state: State, storage: Storage, hyper: Hyper) -> Bad | None:
        """Interpret the next update node by node; the first node with a non-finite value, or None."""
        return self.diagnose_batch(state, self.draw_batch(state, storage, hyper), hyper)

    def diagnose_batch(self, state: State, batch: Batch, hyper: Hyper) -> Bad | None:
        """As ``diagnose``, for a given batch."""
        found: list[Bad] = []

        def look(node: Node, value: Any) -> None:
            text = _non_finite(value)
            if text and not found:
                found.append(Bad(node.name, str(node.span or ""), text, {k: np.asarray(v) for k, v in batch.items()}))

        interpret(self.graphs["step"], self.step_inputs(state, batch, self._inputs(hyper)), look)
        return found[0] if found else None


def _named(outputs: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}


def groups_read(graph: Graph) -> list[str]:
    """The groups of the state that a value or an output of the graph depends on."""
    read = {name for node in graph.nodes.values() for name in node.inputs} | set(graph.outputs.values())
    return sorted(name.removeprefix("state.") for name in read if name.startswith("state."))


def _non_finite(value: Any) -> str:
    """``nan in 3 of 256`` for the first leaf with a non-finite value, otherwise an empty text."""
    for leaf in jax.tree.leaves(value):
        array = np.asarray(leaf)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            kind = "nan" if np.isnan(array).any() else "inf"
            return f"{kind} in {int((~np.isfinite(array)).sum())} of {array.size}"
    return ""


__all__ = ["RAN", "Bad", "Data", "Program", "State"]
