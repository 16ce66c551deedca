"""A program under test: compiled once, with a state, a batch, and the same step computed in other ways.

A trial starts from a *seasoned* state: copies differ from their originals, biases are no longer 0, optimizers have made
some steps, and every conditional stage runs in the next update.  Seasoned optimizers are smooth: a fresh Adam turns the sign
of a gradient that is 0 up to rounding into a full step, so that no tolerance on its result would be meaningful.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from flowrl_dsl import __version__
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.driver import FOR_READING, build_graphs, build_program, resolve_or_raise
from flowrl_dsl.graph.expr import Call, Literal
from flowrl_dsl.graph.nodes import INPUT, Graph, Node
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.lowering.emit import emit_python
from flowrl_dsl.lowering.evaluate import interpret, node_by_node, run_schedule
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.lowering.schedule import schedule
from flowrl_dsl.passes.dce import dead_nodes
from flowrl_dsl.registry import Component, Drawn
from flowrl_dsl.spec.compatibility import unread
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.testing.instruments import instrumented, neutral, steps_of
from flowrl_dsl.testing.strategies import batch_of
from flowrl_dsl.testing.texts import check_valid
from flowrl_dsl.testing.traced import Draw, Slow, Traced
from flowrl_dsl.testing.trees import as_arrays, compilations, on_host

SIZES = (3, 2)
"""Components of an observation and of an action in a trial."""
MODES = ("explore", "evaluate")
COUNTER = np.int32(3)
"""Which random draw the actions of a trial are."""
FEW_ROWS = 5
"""Rows that are computed at once: so few that the small programs of tests are computed in pieces."""
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Compiler options for what runs once: half the time of compiling goes into emitters of fast fusions."""
SHAKES = 6
"""How often a reference is computed again to learn how far rounding moves it."""
PrintedResults = tuple[tuple[Any, Any, Any], dict[str, Any]]
"""State, metrics and feedback of a step, and the actions by mode."""
FUNCTIONS = ("init", "step", "update", *MODES)
"""The functions of a program."""


def trial(text: str, seed: int = 0, thorough: bool = False, compiled: Iterable[str] = ()) -> Trial:
    """A trial of a valid spec given as text."""
    return Trial(check_valid(text), seed, thorough=thorough, compiled=compiled)


def tiny(spec: str) -> Algorithm:
    """A spec, by path or shipped name, with networks of 8 units, a batch of 7, at most 3 particles, samples and steps."""
    algorithm, _ = resolve_or_raise(spec, None, ())
    parts: dict[str, Component] = {name: part for name, part in algorithm.sections.items() if name != "train"}
    parts |= {block.label: block.mechanism for block in algorithm.improvements}
    sets = [line for path, part in parts.items() for line in _shrunk(path, part)]
    return resolve_or_raise(spec, None, [*sets, "train.batch=7"])[0]


def _shrunk(path: str, component: Component) -> Iterator[str]:
    """The overrides that shrink a component and its subcomponents; unread options are omitted."""
    silent = unread(component)
    for name, kind in kinds(type(component)).items():
        value, inner = getattr(component, name), f"{path}.{name}"
        if name in silent:
            continue
        if isinstance(value, Drawn) and isinstance(value.value, Component):
            yield from _shrunk(inner, value.value)
        elif isinstance(value, Drawn) and isinstance(value.value, int):
            yield f"{inner}={min(value.value, 3)} from {value.source}"
        elif isinstance(value, Component):
            yield from _shrunk(inner, value)
        elif kind.role == "literal" and isinstance(value, tuple) and value:
            yield f"{inner}=[8]"
        elif kind.role == "literal" and type(value) is int and value > 3:
            even = any(getattr(mark, "multiple_of", 1) == 2 for mark in type(component).model_fields[name].metadata)
            yield f"{inner}={4 if even else 3}"


class Trial:
    """A program, a seasoned state, a batch, and the results computed from them, as NumPy arrays.

    XLA compiles the step, without expensive optimisations, and the program's other functions in ``compiled``.  All other
    computations (the remaining functions; the step node by node, as printed, and without passes) are traced by jax and
    evaluated by NumPy.  A ``thorough`` trial compiles everything with all optimisations and interprets without any
    compilation, which takes ten times as long.

    ``did`` counts the cases that checks have examined, where the number depends on the program.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        seed: int = 0,
        batch: dict[str, np.ndarray] | None = None,
        thorough: bool = False,
        compiled: Iterable[str] = (),
    ):
        self.algorithm = algorithm
        self.seed = seed
        self.thorough = thorough
        self.compiled = frozenset(FUNCTIONS) if thorough else frozenset({"step", *compiled})
        self.did: Counter[str] = Counter(f"compiled {name}" for name in self.compiled)
        self.program = build_program(algorithm, *SIZES, rows=FEW_ROWS)
        if not thorough:
            _prepare(self.program, self.compiled)
        self.hyper: dict[str, float] = dict(self.program.hyper)
        self.shake: np.random.Generator | None = None
        given = batch_of(self.program, seed) if batch is None else batch
        self.batch = {**given, **self._of_the_rollout(given)}

    def _of_the_rollout(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the pass ``once`` made fields of the batch, computed from the others as the step does without it."""
        regime: Any = self.algorithm.regime
        names = self.program.batch_shapes().keys() - regime.fields(self.algorithm).keys()
        if not names:
            return {}
        step = build_graphs(self.algorithm, *SIZES, passes=FOR_READING).graphs["step"]
        graph = dead_nodes(replace(step, outputs={name: name for name in sorted(names)}))
        inputs = Program.step_inputs(self.state, batch, self.numbers)
        return on_host(Traced(partial(node_by_node, graph), inputs)(inputs))

    @property
    def graph(self) -> Graph:
        """The step's graph after the passes."""
        return self.program.graphs["step"]

    @cached_property
    def fresh(self) -> dict[str, Any]:
        return of_graph(self.program, on_host(self.program.init(self.seed)))

    @cached_property
    def state(self) -> dict[str, Any]:
        """The seasoned state."""
        return seasoned(self.graph, self.fresh, self.seed)

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """``hyper`` in the form the program takes."""
        return {name: np.float32(value) for name, value in self.hyper.items()}

    # the step as compiled

    @cached_property
    def traced_step(self) -> Any:
        """The step as traced by jax before compilation."""
        return self.program.jit_step.trace(as_arrays(self.state), self.batch, self.numbers)

    @cached_property
    def stepped(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """State, metrics and feedback of the compiled step."""
        given = jax.block_until_ready(as_arrays(self.state))
        before = compilations()
        result = self.program.step(given, self.batch, self.hyper)
        self.compiled_for_a_step = compilations() - before
        return on_host(result)

    # and in other ways

    @cached_property
    def shaken(self) -> list[Trial]:
        """Replicas of the trial in which NumPy perturbs the result of every operation within a few rounding errors."""
        return [self._shaken(seed) for seed in range(SHAKES)]

    def _shaken(self, seed: int) -> Trial:
        other = copy.copy(self)
        for name in ("interpreted", "interpreted_actions", "printed_results", "read_results", "unchanged"):
            other.__dict__.pop(name, None)
        other.shake = np.random.default_rng(seed)
        return other

    def values(self, batch: Mapping[str, Any] | None = None, draw: Draw | None = None, **handles: float) -> dict[str, Any]:
        """Every value of the step, node by node in graph order, computed by NumPy.

        ``handles`` are those of :mod:`~flowrl_dsl.testing.instruments`; ``draw`` may replace the random draws.
        """
        changed = {name: np.float32(value) for name, value in handles.items()}
        inputs = Program.step_inputs(self.state, self.batch if batch is None else batch, self.numbers)
        return self._by_node({**inputs, **neutral(self.graph), **changed}, draw=draw, shake=self.shake)

    @cached_property
    def _by_node(self) -> Traced:
        graph = instrumented(self.graph)
        # conditions must be concrete when the graph is traced
        integers = {name: value for name, value in self.state.items() if getattr(value, "dtype", None) == np.int32}
        counters = {f"state.{name}": value for name, value in integers.items()}

        def values(inputs: Mapping[str, Any]) -> dict[str, Any]:
            found = {**inputs, **counters}
            node_by_node(graph, dict(found), lambda node, value: found.update({node.name: value}))
            return found

        inputs = Program.step_inputs(self.state, self.batch, self.numbers)
        return Traced(values, inputs | neutral(graph))

    @cached_property
    def interpreted(self) -> dict[str, Any]:
        """Every value of the step, node by node in graph order."""
        if not self.thorough:
            return self.values()
        inputs = Program.step_inputs(self.state, self.batch, self.numbers)
        found = dict(inputs)
        interpret(self.graph, inputs, lambda node, value: found.update({node.name: value}))
        return on_host(found)

    @cached_property
    def interpreted_actions(self) -> dict[str, Any]:
        """The actions by mode, node by node."""

        def act(state: Any, obs: Any, hyper: Any) -> dict[str, Any]:
            inputs = {f"state.{k}": v for k, v in state.items()} | {f"hyper.{k}": v for k, v in hyper.items()}
            inputs |= {"obs": obs, "counter": COUNTER}
            how = interpret if self.thorough else node_by_node
            return {mode: how(self.program.graphs[mode], inputs)["action"] for mode in MODES}

        given = self.state, self.batch["s"], self.numbers
        return on_host(act(*given)) if self.thorough else Traced(act, *given)(*given, shake=self.shake)

    @cached_property
    def source(self) -> str:
        """The printed program."""
        return emit_python(self.algorithm.name, "A trial.", self.program.graphs, self.program.hyper, __version__)

    @cached_property
    def source_for_reading(self) -> str:
        """The program as printed for reading, after a few of the passes."""
        built = build_graphs(self.algorithm, *SIZES, passes=FOR_READING)
        return emit_python(self.algorithm.name, "A trial, for reading.", built.graphs, built.hyper, __version__)

    @cached_property
    def printed(self) -> dict[str, Any]:
        """The definitions of the printed program."""
        return _defined(self.source)

    @cached_property
    def printed_results(self) -> PrintedResults:
        """State, metrics and feedback, and the actions by mode, computed by the printed program."""
        return self._run(self.printed, self.source)

    @cached_property
    def read_results(self) -> PrintedResults:
        """The same results, computed by the program printed for reading."""
        return self._run(_defined(self.source_for_reading), self.source_for_reading)

    def _run(self, printed: Mapping[str, Any], source: str) -> PrintedResults:
        def run(state: Any, batch: Any, hyper: Any) -> tuple[Any, Any]:
            with _printed_program(source):
                acted = {mode: printed[mode](state, batch["s"], COUNTER, hyper) for mode in MODES}
                # a printed program without feedback, or without fields filled by acting, returns none
                state, metrics, *feedback = printed["step"](state, batch, hyper)
            actions = {mode: found["action"] if isinstance(found, dict) else found for mode, found in acted.items()}
            return (state, metrics, *(feedback or [{}])), actions

        return self._computed(run)

    @cached_property
    def unchanged(self) -> dict[str, Any]:
        """The outputs of the step's graph before any pass."""
        graph = build_graphs(self.algorithm, *SIZES, passes=()).graphs["step"]
        verify(graph)

        def run(state: Any, batch: Any, hyper: Any) -> dict[str, Any]:
            env = Program.step_inputs(state, batch, hyper)
            run_schedule(schedule(graph), env)
            return {output: env[name] for output, name in graph.outputs.items()}

        return self._computed(run)

    def _computed(self, function: Callable[..., Any]) -> Any:
        """A function of state, batch and numbers, evaluated at those of the trial: compiled if thorough, else by NumPy."""
        given = self.state, self.batch, self.numbers
        return on_host(jax.jit(function)(*given)) if self.thorough else Traced(function, *given)(*given, shake=self.shake)


@contextmanager
def _printed_program(source: str) -> Iterator[None]:
    """A context in which any exception is reported as a failure of this printed program."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"the printed program fails: {error!r}\n{source}") from error


def _defined(source: str) -> dict[str, Any]:
    """The definitions of a printed program."""
    names: dict[str, Any] = {}
    with _printed_program(source):
        exec(compile(source, "<printed>", "exec"), names)
    return names


def _prepare(program: Program, compiled: frozenset[str]) -> None:
    """Compile these functions by jax with fewer optimisations, and evaluate the others by NumPy."""

    def made(name: str, function: Callable[..., Any], **options: Any) -> Any:
        return jax.jit(function, compiler_options=QUICK, **options) if name in compiled else Slow(function)

    program.jit_init = made("init", program._init)
    program.jit_step = made("step", program._step, donate_argnums=0)
    program.jit_update = made("update", program._update, donate_argnums=0)
    program.jit_act = {mode: made(mode, partial(program._act, mode)) for mode in MODES}


def of_graph(program: Program, state: Mapping[str, Any]) -> dict[str, Any]:
    """The groups of the state that the step's graph writes: without those learned by the source of batches."""
    return {name: value for name, value in state.items() if f"state.{name}" in program.graphs["step"].outputs}


def seasoned(step: Graph, fresh: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """A state like that after some updates: see the module docstring."""
    rng = np.random.default_rng(seed)
    optimizers = {name for node in steps_of(step) for name in node.inputs if step.nodes[name].op == INPUT} - {
        node.inputs[0] for node in steps_of(step)
    }
    trained = {node.inputs[0] for node in steps_of(step)}
    counter = _all_due([node for node in step.nodes.values() if node.op == "Every"])

    def change(name: str, leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        if f"state.{name}" in optimizers:
            return np.asarray(rng.uniform(0.5, 1.5, leaf.shape) if leaf.dtype.kind == "f" else leaf + 5, leaf.dtype)
        if f"state.{name}" in trained and leaf.ndim and not leaf.any():
            return np.asarray(rng.normal(0, 0.02, leaf.shape), leaf.dtype)
        if f"state.{name}" in trained or leaf.dtype.kind != "f" or name == "normalizer":
            return leaf
        return np.asarray(leaf * rng.uniform(0.8, 1.2, leaf.shape), leaf.dtype)

    state = {name: jax.tree.map(lambda leaf, name=name: change(name, leaf), tree) for name, tree in fresh.items()}
    return state | {"step": np.int32(counter)}


def _all_due(conditions: Sequence[Node]) -> int:
    """The first update in which every stage has begun, every periodic stage runs, and no phase begins."""
    counts = [_counts(node) for node in conditions]
    period = math.lcm(1, *(every for every, _ in counts))
    return -(-(max([0, *(after for _, after in counts)]) + 1) // period) * period - 1


def _counts(node: Node) -> tuple[int, int]:
    """The period of a condition and the update from which it holds."""
    assert isinstance(node.expr, Call)
    every, after, until, *_ = [*(part.value for part in node.expr.args if isinstance(part, Literal)), 0, None]
    once = until is not None and until == after + 1
    return int(every), int(after) + once
