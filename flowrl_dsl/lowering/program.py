"""The compiled program: ``init``, ``step``, ``update`` and ``act``, each one executable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.graph.nodes import Graph, Node
from flowrl_dsl.lowering import batches
from flowrl_dsl.lowering.evaluate import interpret, run_schedule
from flowrl_dsl.lowering.schedule import Step, schedule

State = dict[str, Any]
Hyper = dict[str, Any]
Batch = dict[str, jax.Array]
Replay = dict[str, jax.Array]

_BATCH_STREAM = 3
"""Keys of batches, apart from those of updates (1) and of acting (2)."""


@dataclass(frozen=True)
class Loop:
    """Settings of the training loop that decide what is compiled.

    ``horizon``: steps of one return.  ``refresh``: None for uniform batches; of prioritised ones, updates after which the
    largest priority is taken anew.
    """

    batch: int
    replay: int
    envs: int
    horizon: int = 1
    refresh: int | None = None


@dataclass(frozen=True)
class Bad:
    """The first non-finite value of an update: its node, the line of the spec it comes from, and the batch."""

    node: str
    line: str
    value: str
    batch: dict[str, np.ndarray]


class Program:
    """An algorithm for one size of observations and actions.

    The state is a dictionary of arrays and trees of arrays; ``hyper`` holds the numbers that are inputs, by name: changing
    one does not recompile.  All functions are pure; ``step`` and ``update`` consume (donate) the state they are given.
    """

    def __init__(
        self,
        name: str,
        graphs: Mapping[str, Graph],
        hyper: Mapping[str, float],
        loop: Loop,
        sizes: tuple[int, int],
    ):
        self.name = name
        self.graphs = dict(graphs)
        self.hyper = dict(hyper)
        self.loop = loop
        self.obs_size, self.action_size = sizes
        self.capacity = loop.replay
        """Rows of the replay that ``init`` makes priorities for."""
        self._schedules: dict[str, list[Step]] = {key: schedule(graph) for key, graph in graphs.items()}
        self.jit_init = jax.jit(self._init)
        self.jit_step = jax.jit(self._step, donate_argnums=0)
        self.jit_update = jax.jit(self._update, donate_argnums=0)
        self.jit_act = {mode: jax.jit(partial(self._act, mode)) for mode in ("explore", "evaluate")}

    # pure functions of arrays: what is compiled

    def _run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        env = dict(inputs)
        run_schedule(self._schedules[graph], env)
        return {output: env[name] for output, name in self.graphs[graph].outputs.items()}

    def _init(self, key: jax.Array) -> State:
        state = _named(self._run("init", {"key": key}), "state.")
        return state if self.loop.refresh is None else state | {"priorities": batches.no_priorities(self.capacity)}

    def _step(self, state: State, batch: Batch, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        outputs = self._run("step", self.step_inputs(state, batch, hyper))
        return state | _named(outputs, "state."), _named(outputs, "metric.")

    def _train(self, state: State, replay: Replay, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """One update on a batch drawn from the replay, and what it says of the priorities of that batch."""
        state, rows = self._draw(state, replay)
        state, metrics = self._step(state, self._gather(replay, rows), hyper)
        if self.loop.refresh is not None:
            due = state["step"] % self.loop.refresh == 0
            judged = batches.judged(state["priorities"], rows, state["priority"], due)
            state = state | {"priorities": judged}
        return state, metrics

    def _update(self, state: State, replay: Replay, n: jax.Array, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """n updates; a metric is the mean over those updates that reported it, NaN where none did."""

        def one(_: jax.Array, carry: tuple) -> tuple:
            state, sums, counts = carry
            state, metrics = self._train(state, replay, hyper)
            for name, value in metrics.items():
                ran = ~jnp.isnan(value)
                sums[name] = sums[name] + jnp.where(ran, value, 0.0)
                counts[name] = counts[name] + ran
            return state, sums, counts

        names = self.metric_names
        start = {name: jnp.zeros(()) for name in names}, {name: jnp.zeros((), jnp.int32) for name in names}
        state, sums, counts = jax.lax.fori_loop(0, n, one, (state, *start))
        return state, {name: sums[name] / counts[name] for name in names}

    def _act(self, mode: str, state: State, obs: jax.Array, counter: jax.Array, hyper: Hyper) -> jax.Array:
        inputs = {f"state.{name}": value for name, value in state.items()}
        inputs |= {f"hyper.{name}": value for name, value in hyper.items()}
        return self._run(mode, inputs | {"obs": obs, "counter": counter})["action"]

    def draw_batch(self, state: State, replay: Replay) -> Batch:
        """The batch of the next update: a function of the state's key, counter and priorities."""
        return self._gather(replay, self._draw(state, replay)[1])

    def _draw(self, state: State, replay: Replay) -> tuple[State, jax.Array]:
        """The rows of the next batch, and the state in which all rows of the replay have a priority."""
        key = jax.random.fold_in(jax.random.fold_in(state["key"], _BATCH_STREAM), state["step"])
        if self.loop.refresh is None:
            return state, jax.random.randint(key, (self.loop.batch,), 0, replay["size"])
        priorities = batches.with_new_rows(state["priorities"], replay)
        rows = batches.prioritized_rows(key, priorities, replay, self.loop.batch)
        return state | {"priorities": priorities}, rows

    def _gather(self, replay: Replay, rows: jax.Array) -> Batch:
        if self.loop.horizon == 1:
            return batches.transitions(replay, rows)
        return batches.windows(replay, rows, self.loop.horizon, self.loop.envs)

    @property
    def metric_names(self) -> list[str]:
        return [o.removeprefix("metric.") for o in self.graphs["step"].outputs if o.startswith("metric.")]

    @staticmethod
    def step_inputs(state: State, batch: Batch, hyper: Hyper) -> dict[str, Any]:
        """The inputs of the graph ``step`` by name."""
        groups = {"state": state, "batch": batch, "hyper": hyper}
        return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}

    def differs_in_numbers_alone(self, other: Program) -> bool:
        """Whether the two compute the same of their inputs: then this one runs the other, given its ``hyper``."""
        here, there = (
            (one.graphs, one.loop, one.obs_size, one.action_size, one.capacity, set(one.hyper)) for one in (self, other)
        )
        return here == there

    # the public face

    def init(self, seed: int) -> State:
        """A fresh state."""
        return self.jit_init(jax.random.PRNGKey(seed))

    def step(self, state: State, batch: Batch, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """One update on a given batch, as one executable.  The state is consumed."""
        return self.jit_step(state, batch, self._inputs(hyper))

    def update(self, state: State, replay: Replay, n: int, hyper: Hyper) -> tuple[State, dict[str, jax.Array]]:
        """n updates in one dispatch, each on a batch drawn on the device.  The state is consumed."""
        return self.jit_update(state, replay, np.int32(n), self._inputs(hyper))

    def act(self, state: State, obs: Any, counter: int, mode: str, hyper: Hyper) -> jax.Array:
        """Actions [n, A] in [-1, 1] for observations [n, O]; ``counter`` selects the random draw."""
        return self.jit_act[mode](state, obs, np.int32(counter), self._inputs(hyper))

    def _inputs(self, hyper: Hyper) -> Hyper:
        return {name: np.asarray(hyper[name], np.float32) for name in self.hyper}

    def joined(self) -> Program:
        """The program of many members at once: state, replay, observations, ``hyper`` and results have an axis for them.

        Not bit for bit what each gives alone: products of many matrices round in their own way.
        """
        many = copy.copy(self)
        many.jit_init = jax.jit(jax.vmap(self._init))
        many.jit_step = jax.jit(jax.vmap(self._step), donate_argnums=0)
        many.jit_update = jax.jit(jax.vmap(self._update, in_axes=(0, 0, None, 0)), donate_argnums=0)
        many.jit_act = {mode: jax.jit(jax.vmap(partial(self._act, mode), in_axes=(0, 0, None, 0))) for mode in self.jit_act}
        return many

    # what it compiles to

    def examples(self) -> tuple[State, Batch, Hyper]:
        """Shapes of the arguments of ``step``."""
        state = jax.eval_shape(self._init, jax.ShapeDtypeStruct((2,), jnp.uint32))
        return state, self.batch_shapes(), {name: jax.ShapeDtypeStruct((), jnp.float32) for name in self.hyper}

    def batch_shapes(self) -> Batch:
        """Shapes of a batch."""
        row = {"s": (self.obs_size,), "a": (self.action_size,), "d": (), "s_next": (self.obs_size,)}
        row |= {"r": ()} if self.loop.horizon == 1 else {"rewards": (self.loop.horizon,), "count": ()}
        return {name: jax.ShapeDtypeStruct((self.loop.batch, *shape), jnp.float32) for name, shape in row.items()}

    def step_jaxpr(self) -> str:
        """The step as jax traces it."""
        return str(jax.make_jaxpr(self._step)(*self.examples()))

    def step_hlo(self) -> str:
        """The step as XLA optimises it for this machine."""
        return self.jit_step.lower(*self.examples()).compile().as_text()

    def diagnose(self, state: State, replay: Replay, hyper: Hyper) -> Bad | None:
        """Interpret the next update node by node; the first node with a non-finite value, or None."""
        return self.diagnose_batch(state, self.draw_batch(state, replay), hyper)

    def diagnose_batch(self, state: State, batch: Batch, hyper: Hyper) -> Bad | None:
        """As ``diagnose``, for a given batch."""
        found: list[Bad] = []

        def look(node: Node, value: Any) -> None:
            text = _non_finite(value)
            if text and not found and not _reports_absence(node):
                found.append(Bad(node.name, str(node.span or ""), text, {k: np.asarray(v) for k, v in batch.items()}))

        interpret(self.graphs["step"], self.step_inputs(state, batch, self._inputs(hyper)), look)
        return found[0] if found else None


def _named(outputs: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}


def _reports_absence(node: Node) -> bool:
    """A NaN that says "this stage did not run" is not a fault."""
    return node.op in ("Constant", "When", "Item")


def _non_finite(value: Any) -> str:
    """``nan in 3 of 256`` for the first leaf with a value that is not finite, else nothing."""
    for leaf in jax.tree.leaves(value):
        array = np.asarray(leaf)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            kind = "nan" if np.isnan(array).any() else "inf"
            return f"{kind} in {int((~np.isfinite(array)).sum())} of {array.size}"
    return ""


__all__ = ["Bad", "Loop", "Program", "State"]
