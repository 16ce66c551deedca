"""What holds for every spec and for every compiled program, as checks that raise ``AssertionError`` with the reason.

Checks of texts take a text.  Checks of programs take a :class:`Trial`, which compiles a program once and keeps what the
checks share::

    trial = invariants.trial(text)
    invariants.check_three_ways(trial)
    invariants.check_program(trial)    # all checks of programs

A trial starts from a *seasoned* state: copies differ from their originals, optimizers have made some steps, and the next
update is one in which every conditional stage runs.  Seasoned optimizers are smooth: a fresh Adam turns the sign of a
gradient that is 0 but for rounding into a whole step, so that no tolerance of its result would mean anything.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl import __version__
from flowrl_dsl.algorithm import Algorithm, Every, Single, Stage, Together, stage_names
from flowrl_dsl.algorithm import Sequence as InSequence
from flowrl_dsl.codes import CODES
from flowrl_dsl.components.context import learned_group
from flowrl_dsl.diagnostics import Diagnostic, render_text
from flowrl_dsl.driver import build_graphs, build_program, resolve_or_raise
from flowrl_dsl.graph.expr import Arg, Call, Literal, call, kernel
from flowrl_dsl.graph.nodes import INPUT, SCALAR, Graph, Node
from flowrl_dsl.graph.text import parse_graph, print_graph
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.lowering.batches import no_priorities
from flowrl_dsl.lowering.cost import host_callbacks
from flowrl_dsl.lowering.emit import emit_python
from flowrl_dsl.lowering.evaluate import interpret, run_schedule
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.lowering.schedule import schedule
from flowrl_dsl.passes import PIPELINE
from flowrl_dsl.registry import Component, Drawn
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from flowrl_dsl.testing.strategies import batch_of, replay_of

RTOL, ATOL = 2e-3, 2e-5
"""By how much two ways to compute the same may differ: relative to the largest number of an array, and absolutely."""
SIZES = (3, 2)
"""Components of an observation and of an action in a trial."""
MODES = ("explore", "evaluate")
COUNTER = np.int32(3)
"""Which random draw the actions of a trial are."""
FEW_ROWS = 5
"""Rows that are computed at once: so few that the small programs of tests are computed in pieces."""
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options for what runs once."""


# ------------------------------------------------------------------------------------------------------------- texts


def check_parse_format(text: str) -> None:
    """A text that parses is formatted to a text of the same tree and comments, which formatting leaves as it is."""
    tree, found = parse(text, "text")
    assert tree is not None, f"does not parse: {[d.message for d in found]}\n{text}"
    formatted = format_file(tree)
    again, found = parse(formatted, "formatted")
    assert again is not None, f"formatted text does not parse: {[d.message for d in found]}\n{formatted}"
    assert again == tree, f"formatting changed what the text says:\n{text}\n--- became\n{formatted}"
    before, after = (sorted(c.text for c in t.comments) for t in (tree, again))
    assert before == after, f"formatting lost or changed comments: {before} became {after}"
    assert format_file(again) == formatted, f"formatting twice differs from formatting once:\n{formatted}"


def check_never_raises(text: str) -> Resolution:
    """A spec, however broken, gives diagnostics or an algorithm; every diagnostic has a known code and lies in the text."""
    resolution = resolve_text(text)
    errors = resolution.diagnostics.errors
    assert (resolution.algorithm is None) == bool(errors), "an algorithm comes without errors, and errors without one"
    for diagnostic in resolution.diagnostics:
        _check_diagnostic(diagnostic, resolution.sources)
    render_text(resolution.diagnostics, resolution.sources)
    return resolution


def _check_diagnostic(diagnostic: Diagnostic, sources: Mapping[str, str]) -> None:
    assert diagnostic.code in CODES, f"unknown code {diagnostic.code}"
    assert diagnostic.message and "\n" not in diagnostic.message, f"bad message {diagnostic.message!r}"
    span = diagnostic.span
    if span is None:
        return
    assert span.file in sources, f"{diagnostic.code} points into {span.file}, which was not read"
    lines = sources[span.file].split("\n")
    start, end = (span.line, span.column), (span.end_line, span.end_column)
    assert start <= end, f"{diagnostic.code} ends at {end} before it starts at {start}"
    for line, column in (start, end):
        inside = 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1
        assert inside, f"{diagnostic.code} points to {line}:{column}, outside of the text"


def check_valid(text: str) -> Algorithm:
    """The spec has no errors; gives its algorithm."""
    resolution = check_never_raises(text)
    assert resolution.algorithm is not None, render_text(resolution.diagnostics.errors, resolution.sources) + "\n" + text
    return resolution.algorithm


def resolve_text(text: str, sets: Sequence[str] = ()) -> Resolution:
    """The resolution of a spec given as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.flowrl"
        path.write_text(text, encoding="utf-8", newline="")
        return resolve(str(path), sets=sets)


# ------------------------------------------------------------------------------------------------------------ trials


def trial(text: str, seed: int = 0, thorough: bool = False) -> Trial:
    """A trial of a valid spec given as text."""
    return Trial(check_valid(text), seed, thorough=thorough)


def tiny(spec: str) -> Algorithm:
    """A spec, by path or shipped name, with networks of 8 units, a batch of 4, at most 3 particles, samples and steps."""
    algorithm, _ = resolve_or_raise(spec, None, ())
    parts: dict[str, Component] = {name: part for name, part in algorithm.sections.items() if name != "train"}
    parts |= {block.label: block.mechanism for block in algorithm.improvements}
    sets = [line for path, part in parts.items() for line in _shrunk(path, part)]
    return resolve_or_raise(spec, None, [*sets, "train.batch=4"])[0]


def _shrunk(path: str, component: Component) -> Iterator[str]:
    """The overrides that make a component and all it holds small."""
    for name, kind in kinds(type(component)).items():
        value, inner = getattr(component, name), f"{path}.{name}"
        if isinstance(value, Drawn) and isinstance(value.value, Component):
            yield from _shrunk(inner, value.value)
        elif isinstance(value, Drawn):
            yield f"{inner}={min(value.value, 3)} from {value.source}"
        elif isinstance(value, Component):
            yield from _shrunk(inner, value)
        elif kind.role == "literal" and isinstance(value, tuple) and value:
            yield f"{inner}=[8]"
        elif kind.role == "literal" and type(value) is int and value > 3:
            even = any(getattr(mark, "multiple_of", 1) == 2 for mark in type(component).model_fields[name].metadata)
            yield f"{inner}={4 if even else 3}"


class Trial:
    """A compiled program, a seasoned state, a batch, and what has been computed with them.  Arrays are NumPy's.

    A ``thorough`` trial compiles with all of XLA's optimisations and interprets without any compilation, which takes some
    ten times as long.  Otherwise programs are compiled without expensive optimisations, and the interpreted run, node by
    node in graph order all the same, is traced and compiled as a whole.
    """

    def __init__(
        self, algorithm: Algorithm, seed: int = 0, batch: dict[str, np.ndarray] | None = None, thorough: bool = False
    ):
        self.algorithm = algorithm
        self.seed = seed
        self.thorough = thorough
        self.program = build_program(algorithm, *SIZES, rows=FEW_ROWS)
        if not thorough:
            _compile_quickly(self.program)
        self.hyper: dict[str, float] = dict(self.program.hyper)
        self.batch = batch_of(self.program, seed) if batch is None else batch

    @cached_property
    def fresh(self) -> dict[str, Any]:
        return _of_graph(self.program, on_host(self.program.init(self.seed)))

    @cached_property
    def state(self) -> dict[str, Any]:
        """The seasoned state."""
        return seasoned(self.program.graphs["step"], self.fresh, self.seed)

    @cached_property
    def stepped(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """State and metrics after the compiled step."""
        given = jax.block_until_ready(as_arrays(self.state))
        before = compilations()
        result = self.program.step(given, self.batch, self.hyper)
        self.compiled_for_a_step = compilations() - before
        return on_host(result)

    @cached_property
    def source(self) -> str:
        """The printed program."""
        return emit_python(self.algorithm.name, "A trial.", self.program.graphs, self.program.hyper, __version__)

    @cached_property
    def printed(self) -> dict[str, Any]:
        """What the printed program defines."""
        names: dict[str, Any] = {}
        with self._printed_program():
            exec(compile(self.source, "<printed>", "exec"), names)
        return names

    @contextmanager
    def _printed_program(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise AssertionError(f"the printed program fails: {error!r}\n{self.source}") from error

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """``hyper`` as the program takes it."""
        return {name: np.float32(value) for name, value in self.hyper.items()}

    @cached_property
    def references(self) -> Results:
        """The step and the actions computed in other ways, for the same state and batch."""
        if self.thorough:
            ways = {"interpreted": self._interpreted, "printed": self._run_printed, "unchanged": self._run_unchanged}
            state, batch, hyper = self.state, self.batch, self.numbers
            results = {"interpreted": self._interpreted(state, batch, hyper)}
            results |= {name: jax.jit(ways[name])(state, batch, hyper) for name in ("printed", "unchanged")}
        else:
            results = self._in_one_go()
        return Results(**on_host(results))

    def _in_one_go(self) -> dict[str, Any]:
        counters = {name: value for name, value in self.state.items() if np.asarray(value).dtype.kind == "i"}

        def run(state: Any, batch: Any, hyper: Any) -> dict[str, Any]:
            return {
                "interpreted": self._interpreted({**state, **counters}, batch, hyper),
                "printed": self._run_printed(state, batch, hyper),
                "unchanged": self._run_unchanged(state, batch, hyper),
            }

        return jax.jit(run, compiler_options=QUICK)(self.state, self.batch, self.numbers)

    def _interpreted(self, state: Any, batch: Any, hyper: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every value of the step and the actions, node by node in graph order."""
        inputs = Program.step_inputs(state, batch, hyper)
        values = dict(inputs)
        interpret(self.program.graphs["step"], inputs, lambda node, value: values.update({node.name: value}))
        acting = {f"state.{k}": v for k, v in state.items()} | {f"hyper.{k}": v for k, v in hyper.items()}
        acting |= {"obs": batch["s"], "counter": COUNTER}
        return values, {mode: interpret(self.program.graphs[mode], acting)["action"] for mode in MODES}

    def _run_printed(self, state: Any, batch: Any, hyper: Any) -> tuple[Any, Any]:
        with self._printed_program():
            acts = {mode: self.printed[mode](state, batch["s"], COUNTER, hyper) for mode in MODES}
            return self.printed["step"](state, batch, hyper), acts

    def _run_unchanged(self, state: Any, batch: Any, hyper: Any) -> dict[str, Any]:
        """The step's outputs without any pass."""
        graph = build_graphs(self.algorithm, *SIZES, passes=()).graphs["step"]
        verify(graph)
        env = Program.step_inputs(state, batch, hyper)
        run_schedule(schedule(graph), env)
        return {output: env[name] for output, name in graph.outputs.items()}


@dataclass(frozen=True)
class Results:
    """``interpreted``: all values of the step, and the actions by mode.  ``printed``: (state, metrics), and the actions.

    ``unchanged``: the outputs of the step's graph before any pass.
    """

    interpreted: tuple[dict[str, Any], dict[str, Any]]
    printed: tuple[tuple[Any, Any], dict[str, Any]]
    unchanged: dict[str, Any]


def _compile_quickly(program: Program) -> None:
    """Let jax compile the program's functions with fewer optimisations."""
    program.jit_init = jax.jit(program._init, compiler_options=QUICK)
    program.jit_step = jax.jit(program._step, donate_argnums=0, compiler_options=QUICK)
    program.jit_update = jax.jit(program._update, donate_argnums=0, compiler_options=QUICK)
    program.jit_act = {mode: jax.jit(partial(program._act, mode), compiler_options=QUICK) for mode in program.jit_act}


def _of_graph(program: Program, state: Mapping[str, Any]) -> dict[str, Any]:
    """The groups of the state that the step's graph writes: without priorities, which the loop keeps for the replay."""
    return {name: value for name, value in state.items() if f"state.{name}" in program.graphs["step"].outputs}


@kernel
def add_to_all(tree, number):
    """The tree with a number added to every entry."""
    return jax.tree.map(lambda x: x + number, tree)


def seasoned(step: Graph, fresh: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """The state as after some updates: see the head of this file."""
    rng = np.random.default_rng(seed)
    optimizers = {name for node in steps_of(step) for name in node.inputs if step.nodes[name].op == INPUT} - {
        node.inputs[0] for node in steps_of(step)
    }
    trained = {node.inputs[0] for node in steps_of(step)}
    counter = math.lcm(1, *(_period(node) for node in step.nodes.values() if node.op == "Every"))

    def change(name: str, leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        if f"state.{name}" in optimizers:
            return np.asarray(rng.uniform(0.5, 1.5, leaf.shape) if leaf.dtype.kind == "f" else leaf + 5, leaf.dtype)
        if f"state.{name}" in trained or leaf.dtype.kind != "f" or name == "normalizer":
            return leaf
        return np.asarray(leaf * rng.uniform(0.8, 1.2, leaf.shape), leaf.dtype)

    state = {name: jax.tree.map(lambda leaf, name=name: change(name, leaf), tree) for name, tree in fresh.items()}
    return state | {"step": np.int32(counter - 1)}


def steps_of(graph: Graph) -> list[Node]:
    """The optimizer steps of a graph: inputs are parameters, gradient, optimizer state, numbers."""
    return [node for node in graph.nodes.values() if node.op == "GradientStep"]


def _period(node: Node) -> int:
    assert isinstance(node.expr, Call)
    numbers = [part.value for part in node.expr.args if isinstance(part, Literal)]
    return int(numbers[0])


def on_host(tree: Any) -> Any:
    """The tree as NumPy arrays, where no donation can delete them."""
    return jax.tree.map(np.array, tree)


def as_arrays(tree: Any) -> Any:
    """The tree on the device, as arrays of its own: a step may consume them."""
    return jax.tree.map(jnp.array, tree)


@cache
def _compiler_log() -> list[str]:
    log: list[str] = []

    def listen(event: str, _: float, **__: Any) -> None:
        if event.endswith("backend_compile_duration"):
            log.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return log


def compilations() -> int:
    """How many executables have been compiled in this process since this was first asked."""
    return len(_compiler_log())


def assert_close(what: str, left: Any, right: Any, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Trees of equal structure agree: each array to ``atol`` plus ``rtol`` of its largest number; nan only with nan."""
    assert jax.tree.structure(left) == jax.tree.structure(right), f"{what}: trees of different structure"
    for path, x in jax.tree.leaves_with_path(left):
        x, y = np.asarray(x), np.asarray(_at(right, path))
        assert x.shape == y.shape, f"{what}{jax.tree_util.keystr(path)}: shapes {x.shape} and {y.shape}"
        same = np.array_equal(np.isnan(x), np.isnan(y)) if x.dtype.kind == "f" else True
        scale = max((np.abs(v[np.isfinite(v)]).max(initial=0.0) for v in (x, y)), default=0.0) if x.dtype.kind == "f" else 0
        difference = np.abs(np.nan_to_num(x) - np.nan_to_num(y)).max(initial=0.0) if x.dtype.kind == "f" else 0.0
        equal = difference <= atol + rtol * scale if x.dtype.kind == "f" else np.array_equal(x, y)
        where = f"{what}{jax.tree_util.keystr(path)}"
        assert same and equal, f"{where}: differ by {difference:.3g} where the largest number is {scale:.3g}\n{x}\n{y}"


def _at(tree: Any, path: tuple) -> Any:
    return dict(jax.tree.leaves_with_path(tree))[path]


def assert_equal(what: str, left: Any, right: Any) -> None:
    """Trees are equal bit for bit."""
    assert jax.tree.structure(left) == jax.tree.structure(right), f"{what}: trees of different structure"
    for (path, x), y in zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True):
        equal = np.array_equal(np.asarray(x), np.asarray(y), equal_nan=np.asarray(x).dtype.kind == "f")
        assert equal, f"{what}{jax.tree_util.keystr(path)}: not bit for bit the same\n{x}\n{y}"


# ---------------------------------------------------------------------------------------------------------- programs


def check_three_ways(trial: Trial) -> None:
    """Compiled, interpreted node by node, and printed as Python: the same state, metrics and actions."""
    program = trial.program
    state, metrics = trial.stepped
    values, interpreted_actions = trial.references.interpreted
    (printed_state, printed_metrics), printed_actions = trial.references.printed
    outputs = program.graphs["step"].outputs
    for group, compiled in (("state", state), ("metric", metrics)):
        named = {name: values[outputs[f"{group}.{name}"]] for name in compiled}
        assert_close(f"interpreted and compiled {group} ", named, compiled)
    assert trial.printed["HYPER"] == program.hyper, "the printed HYPER is not the program's"
    assert_close("printed and compiled state ", printed_state, state)
    assert_close("printed and compiled metric ", printed_metrics, metrics)
    for mode in MODES:
        acted = np.asarray(program.act(trial.state, trial.batch["s"], COUNTER, mode, trial.hyper))
        assert_close(f"interpreted and compiled {mode} ", interpreted_actions[mode], acted)
        assert_close(f"printed and compiled {mode} ", printed_actions[mode], acted)


def check_losses_touch_only_their_own(trial: Trial) -> None:
    """The gradient of a loss changes its own parameters, their copies, and what the order lets read them; nothing else.

    Each gradient in turn is made nan.  What the order of the spec does not let see it must stay bit for bit the same.
    """
    graph = _with_poison(trial.program.graphs["step"])
    steps = schedule(graph)

    def run(inputs: Mapping[str, Any], poison: Mapping[str, Any]) -> dict[str, Any]:
        env = {**inputs, **poison}
        run_schedule(steps, env)
        return {out.removeprefix("state."): env[name] for out, name in graph.outputs.items() if out.startswith("state.")}

    groups = [node.inputs[0].removeprefix("state.") for node in steps_of(graph)]
    compiled = jax.jit(run, compiler_options=QUICK)
    none = {f"poison.{group}": np.float32(0) for group in groups}
    inputs = Program.step_inputs(trial.state, trial.batch, trial.numbers)
    healthy = on_host(compiled(inputs, none))
    for group in groups:
        ill = on_host(compiled(inputs, none | {f"poison.{group}": np.float32("nan")}))
        assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(ill[group])), f"{group} is not changed by its gradient"
        reached = _Reach(trial.algorithm, group).run(trial.algorithm.order, frozenset()) | {"bad_update"}
        for name in ill.keys() - reached:
            assert_equal(f"the gradient of {group} reaches {name}: ", ill[name], healthy[name])


def _with_poison(graph: Graph) -> Graph:
    """The graph with an input ``poison.GROUP`` that is added to the gradient of each group."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        if node.op == "GradientStep":
            group, gradient = node.inputs[0].removeprefix("state."), node.inputs[1]
            poison, sick = f"poison.{group}", f"{node.name}.poisoned"
            nodes[poison] = Node(poison, INPUT, (), None, SCALAR)
            expr = call(add_to_all, Arg(0), Arg(1))
            nodes[sick] = Node(sick, "Arithmetic", (gradient, poison), expr, graph.nodes[gradient].type)
            node = replace(node, inputs=(node.inputs[0], sick, *node.inputs[2:]))
        nodes[node.name] = node
    return Graph(graph.name, nodes, graph.outputs)


KEPT_BY_LOSS = ("critic_spread", "critic_seen", "priority")
"""What the stage of the critic writes from its errors and targets, beside the critic."""


class _Reach:
    """Which groups of the state a change of one group's gradient may reach, by the order of the spec alone."""

    def __init__(self, algorithm: Algorithm, group: str):
        self.algorithm = algorithm
        self.group = group
        self.measured = False

    def run(self, stage: Stage, seen: frozenset[str]) -> set[str]:
        """The changed groups that the stage writes; ``seen`` are the changed ones that it may read."""
        match stage:
            case Single(name):
                return self._single(name, seen)
            case Every(_, inner):
                return self.run(inner, seen)
            case InSequence(parts):
                written: set[str] = set()
                for part in parts:
                    written |= self.run(part, seen | written)
                return written
            case Together(parts):
                first = sorted(parts, key=lambda part: "policy" not in stage_names(part))
                return set().union(*(self.run(part, seen) for part in first))
        raise TypeError(f"not a stage: {stage!r}")

    def _single(self, name: str, seen: frozenset[str]) -> set[str]:
        if name == "targets":
            sections = self.algorithm.sections.items()
            copies = {copy: original for original, section in sections for copy in getattr(section, "copies", dict)()}
            copies |= {"critic_bounds": "critic_seen", "encoder_fixed": "encoder", "encoder_target": "encoder_fixed"}
            return {copy for copy, original in copies.items() if original in seen}
        if name == "policy" and seen:
            self.measured = True
        learned = name in self.algorithm.parameters
        group = learned_group(name) if learned else name
        reached = group == self.group or seen or (learned and self.measured)
        beside = KEPT_BY_LOSS if group == "critic" else ()
        return {group, f"{group}_opt", *beside} if reached else set()


def check_same_key_same_result(trial: Trial) -> None:
    """The same key gives bit for bit the same state, step and actions; another key another state."""
    program = trial.program
    assert_equal("init ", _of_graph(program, on_host(program.init(trial.seed))), trial.fresh)
    again = on_host(program.step(as_arrays(trial.state), trial.batch, trial.hyper))
    assert_equal("step ", again, trial.stepped)
    other = on_host(program.init(trial.seed + 1))
    leaves = zip(jax.tree.leaves(other["policy"]), jax.tree.leaves(trial.fresh["policy"]), strict=True)
    assert any(not np.array_equal(x, y) for x, y in leaves), "another key gives the same policy"


def check_one_executable_no_callback(trial: Trial) -> None:
    """The first step compiles one executable, and nothing in it calls back to Python."""
    assert trial.stepped and trial.compiled_for_a_step == 1, f"{trial.compiled_for_a_step} executables for one step"
    jaxpr = jax.make_jaxpr(trial.program._step)(*trial.program.examples())
    assert not host_callbacks(jaxpr.jaxpr), f"callbacks {host_callbacks(jaxpr.jaxpr)}"


def check_changed_number_does_not_recompile(trial: Trial, hyper: Mapping[str, float] | None = None) -> None:
    """Other values of the numbers compile nothing; ``hyper`` are those values, by default nine tenths of each number."""
    assert trial.stepped
    before = compilations()
    changed = {name: 0.9 * value for name, value in trial.hyper.items()} if hyper is None else dict(hyper)
    on_host(trial.program.step(as_arrays(trial.state), trial.batch, changed))
    assert compilations() == before, "a changed number compiled the step again"


def check_passes_keep_values(trial: Trial) -> None:
    """Without any pass the step computes the same; graphs are well formed after each pass and each one is idempotent."""
    state, metrics = trial.stepped
    expected = {f"state.{k}": v for k, v in state.items()} | {f"metric.{k}": v for k, v in metrics.items()}
    assert_close("all passes and no pass ", expected, trial.references.unchanged)
    for graph in build_graphs(trial.algorithm, *SIZES, passes=()).graphs.values():
        for name, rewrite in PIPELINE.items():
            graph = rewrite(graph)
            verify(graph)
            again = rewrite(graph)
            assert again.nodes == graph.nodes and again.outputs == graph.outputs, f"pass {name} changes what it has made"


def check_state_donated(trial: Trial) -> None:
    """A step consumes the state it is given, as far as it reads it."""
    given = as_arrays(trial.state)
    graph = trial.program.graphs["step"]
    read = {name for node in graph.nodes.values() for name in node.inputs} | set(graph.outputs.values())
    leaves = jax.tree.leaves({name: group for name, group in given.items() if f"state.{name}" in read})
    jax.block_until_ready(trial.program.step(given, trial.batch, trial.hyper))
    kept = sum(not leaf.is_deleted() for leaf in leaves)
    assert not kept, f"{kept} of {len(leaves)} arrays of the state are not donated"


def check_finite(trial: Trial, batch: Mapping[str, Any] | None = None) -> None:
    """All results are finite where every stage runs, no update is called bad, and actions lie in [-1, 1]."""
    state, metrics = trial.stepped
    if batch is not None:
        state, metrics = on_host(trial.program.step(as_arrays(trial.state), dict(batch), trial.hyper))
    for path, leaf in jax.tree.leaves_with_path({"state": state, "metric": metrics}):
        assert np.isfinite(leaf).all(), f"{jax.tree_util.keystr(path)} is not finite: {leaf}{_first_bad(trial, batch)}"
    assert state["bad_update"] == -1, f"update {state['bad_update']} is called bad"
    for mode in MODES:
        obs = (batch or trial.batch)["s"]
        action = np.asarray(trial.program.act(trial.state, obs, COUNTER, mode, trial.hyper))
        assert action.shape == (len(obs), trial.program.action_size), f"{mode} gives shape {action.shape}"
        assert np.isfinite(action).all() and np.abs(action).max() <= 1, f"{mode} gives {action}, outside of [-1, 1]"


def _first_bad(trial: Trial, batch: Mapping[str, Any] | None) -> str:
    bad = trial.program.diagnose_batch(trial.state, dict(batch or trial.batch), trial.hyper)
    return "" if bad is None else f"\nfirst at {bad.node} {bad.line}: {bad.value}"


def check_update_is_repeated_step(trial: Trial, n: int = 2) -> None:
    """``update(n)`` does what n steps on the batches it draws do; metrics are means over the steps that report them.

    Where batches are drawn by priorities, which the loop keeps and not the step: what n updates of one step do.
    """
    program = trial.program
    replay = replay_of(program, trial.seed + 1)
    state, reported = trial.state, []
    if program.loop.refresh is not None:
        program.capacity = len(replay["r"])
        state = state | {"priorities": on_host(no_priorities(program.capacity))}
    updated = on_host(program.update(as_arrays(state), replay, n, trial.hyper))
    for _ in range(n):
        if program.loop.refresh is None:
            batch = on_host(program.draw_batch(state, replay))
            state, metrics = on_host(program.step(as_arrays(state), batch, trial.hyper))
        else:
            state, metrics = on_host(program.update(as_arrays(state), replay, 1, trial.hyper))
        reported.append(metrics)
    assert_close("update and repeated steps: state ", updated[0], state)
    for name, value in updated[1].items():
        values = [metrics[name] for metrics in reported if not np.isnan(metrics[name])]
        mean = np.asarray(np.mean(values) if values else np.nan, np.float32)
        assert_close(f"update and repeated steps: {name} ", np.asarray(value), mean)


_WEIGHTS: dict[str, Callable[[np.ndarray, int], bool]] = {
    "jax.nn.softmax": lambda w, axis: bool((w >= 0).all() and np.allclose(w.sum(axis), 1, atol=1e-4)),
    "best": lambda w, axis: bool(np.isin(w, (0, 1)).all() and (w.sum(axis) == 1).all()),
    "jax.nn.log_softmax": lambda w, axis: bool(np.allclose(np.exp(w).sum(axis), 1, atol=1e-4)),
    "simplex_linear": lambda w, axis: bool(np.allclose(w.sum(axis), 1, atol=1e-4)),
    "simplex_square": lambda w, axis: bool((w >= 0).all() and np.allclose(w.sum(axis), 1, atol=1e-4)),
    "rank": lambda w, axis: bool((w >= 0).all() and (w < w.shape[axis]).all() and (w.min(axis) == 0).all()),
}


def check_weights(trial: Trial) -> None:
    """What a formula calls weights is: softmax, best and their like sum to 1 along their axis, ranks count from 0."""
    for node in trial.program.graphs["step"].nodes.values():
        if node.op == "Weights" and isinstance(node.expr, Call) and node.expr.function in _WEIGHTS:
            axis = next(part.value for key, part in node.expr.kwargs if key == "axis" and isinstance(part, Literal))
            value = trial.references.interpreted[0][node.name]
            fine = _WEIGHTS[node.expr.function](value, axis)
            assert fine, f"{node.name} = {node.expr.function} along axis {axis} gives\n{value}"


def check_graph_text_round_trip(trial: Trial) -> None:
    """The text of each graph parses back to the graph."""
    for graph in trial.program.graphs.values():
        again = parse_graph(print_graph(graph))
        assert again == graph, f"the text of graph {graph.name} is read as another graph:\n{print_graph(graph)}"
        assert list(again.nodes) == list(graph.nodes), f"the text of graph {graph.name} is read in another order"


def check_shapes(trial: Trial) -> None:
    """Traced without compiling: a step keeps the shape of the state, every value has the axes it declares, the printed
    program traces to the same shapes."""
    program = trial.program
    state, batch, hyper = program.examples()
    state = _of_graph(program, state)
    counters = {name: np.int32(0) for name, leaf in state.items() if getattr(leaf, "dtype", None) == np.int32}

    def values(state: Any, batch: Any, hyper: Any) -> dict[str, Any]:
        return trial._interpreted({**state, **counters}, batch, hyper)[0]

    after, metrics = jax.eval_shape(program._step, state, batch, hyper)
    _assert_same_shapes("a step changes", state, after)
    with trial._printed_program():
        printed = jax.eval_shape(trial.printed["step"], state, batch, hyper)
    _assert_same_shapes("the printed step changes", (state, metrics), printed)
    lengths = {"batch": batch["s"].shape[0], "obs": program.obs_size, "action": program.action_size}
    if "encoder" in trial.algorithm.sections:  # what stands beside an embedding is as long as both together
        lengths = {"batch": lengths["batch"]}
    traced = jax.eval_shape(values, state, batch, hyper)
    for node in program.graphs["step"].nodes.values():
        shape = getattr(traced[node.name], "shape", ())
        if node.type.dtype not in ("tree", "u32"):
            _assert_axes(node, shape, lengths)


def _assert_same_shapes(what: str, left: Any, right: Any) -> None:
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree) for tree in (left, right)]
    assert shapes[0] == shapes[1], f"{what} shapes: {shapes[0]}\nbecame {shapes[1]}"


def _assert_axes(node: Node, shape: tuple[int, ...], lengths: Mapping[str, int]) -> None:
    assert len(shape) == len(node.type.axes), f"{node.name}: {node.type} has the shape {shape}"
    for axis, length in zip(node.type.axes, shape, strict=True):
        assert axis not in lengths or length == lengths[axis], f"{node.name}: axis {axis} of {node.type} in shape {shape}"


PROGRAM_CHECKS: tuple[Callable[[Trial], None], ...] = (
    check_graph_text_round_trip,
    check_one_executable_no_callback,
    check_finite,
    check_three_ways,
    check_shapes,
    check_weights,
    check_losses_touch_only_their_own,
    check_passes_keep_values,
    check_same_key_same_result,
    check_changed_number_does_not_recompile,
    check_state_donated,
    check_update_is_repeated_step,
)


def check_program(trial: Trial) -> None:
    """All checks of programs.  A failure names the check and prints the graph's place in the spec where it is known."""
    for check in PROGRAM_CHECKS:
        try:
            check(trial)
        except AssertionError as error:
            error.add_note(f"in {check.__name__}")
            raise
