"""Values of a program: finite, of the declared shapes, and equal for every method of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from flowrl_dsl.driver import build_graphs
from flowrl_dsl.graph.expr import Call, Literal
from flowrl_dsl.graph.nodes import ENTRIES, Node
from flowrl_dsl.graph.text import parse_graph, print_graph
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.passes import PIPELINE
from flowrl_dsl.testing.trees import as_arrays, distance, furthest, on_host, same_structure, unlike
from flowrl_dsl.testing.trials import COUNTER, MODES, SIZES, Trial


def check_graph_text_round_trip(trial: Trial) -> None:
    """The text of each graph parses back to the graph."""
    for graph in trial.program.graphs.values():
        again = parse_graph(print_graph(graph))
        assert again == graph, f"the text of graph {graph.name} is read as another graph:\n{print_graph(graph)}"
        assert list(again.nodes) == list(graph.nodes), f"the text of graph {graph.name} is read in another order"


def check_three_ways(trial: Trial) -> None:
    """Compiled, interpreted node by node, and printed as Python: the same state, metrics and actions."""
    check_interpreted(trial)
    check_printed(trial)


def check_interpreted(trial: Trial) -> None:
    """Compiled and interpreted node by node: the same state, metrics and actions."""
    compiled = _named(trial.stepped, {})

    def interpreted(trial: Trial) -> dict[str, Any]:
        names = {(group, name): trial.graph.outputs[f"{group}.{name}"] for group in compiled for name in compiled[group]}
        return {group: {name: trial.interpreted[names[group, name]] for name in compiled[group]} for group in compiled}

    _assert_agree(trial, "interpreted and compiled ", interpreted, compiled)
    acted = {mode: _acted(trial, mode) for mode in MODES}
    _assert_agree(trial, "interpreted and compiled ", lambda trial: trial.interpreted_actions, acted)


def check_printed(trial: Trial) -> None:
    """Compiled and printed as Python: the same state, metrics and actions, of the same types."""
    _assert_same_shapes("the printed step changes", trial.traced_step.out_info, trial.printed_results[0])
    assert trial.printed["HYPER"] == trial.program.hyper, "the printed HYPER is not the program's"
    compiled = _named(trial.stepped, {mode: _acted(trial, mode) for mode in MODES})
    _assert_agree(trial, "printed and compiled ", lambda trial: _named(*trial.printed_results), compiled)


def check_printed_for_reading(trial: Trial) -> None:
    """Printed after the few passes of a program for reading, and interpreted node by node: the same state, metrics, actions.

    Compiles nothing unless the trial is thorough.
    """
    read = _named(*trial.read_results)
    written = {f"{group}.{name}" for group in GROUPS for name in read[group]}
    assert written == {*trial.graph.outputs}, f"of one of the two alone: {sorted(written ^ {*trial.graph.outputs})}"
    outputs = trial.graph.outputs
    interpreted = {group: {name: trial.interpreted[outputs[f"{group}.{name}"]] for name in read[group]} for group in GROUPS}
    expected = interpreted | trial.interpreted_actions
    _assert_agree(trial, "printed for reading and interpreted ", lambda trial: _named(*trial.read_results), expected)


GROUPS = ("state", "metric", "feedback")
"""The groups of a step's outputs."""


def _named(step: tuple[Any, Any, Any], actions: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(GROUPS, step, strict=True)) | dict(actions)


def _acted(trial: Trial, mode: str) -> np.ndarray:
    return np.asarray(trial.program.act(trial.state, trial.batch["s"], COUNTER, mode, trial.hyper)["action"])


def check_passes_keep_values(trial: Trial) -> None:
    """The step computes the same without passes; graphs are well formed after each pass, and each pass is idempotent."""
    groups = _named(trial.stepped, {})
    expected = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    _assert_agree(trial, "no pass and all passes ", lambda trial: trial.unchanged, expected)
    for graph in build_graphs(trial.algorithm, *SIZES, passes=()).graphs.values():
        for name, rewrite in PIPELINE.items():
            graph = rewrite(graph)
            verify(graph)
            again = rewrite(graph)
            assert again.nodes == graph.nodes and again.outputs == graph.outputs, f"pass {name} changes what it has made"


MORE = 2.0
"""How many times as far as the references that were computed anew a result may lie: they are few."""


def _assert_agree(trial: Trial, what: str, reference: Callable[[Trial], Any], compiled: Any) -> None:
    """The compiled results equal the reference, or deviate from it by no more than rounding perturbs the reference.

    Ties and cancellations may differ between backends.  ``did`` counts the comparisons in which they did.
    """
    assert same_structure(reference(trial), compiled), f"{what}: trees of different structure"
    pairs = list(zip(jax.tree.leaves_with_path(reference(trial)), map(np.asarray, jax.tree.leaves(compiled)), strict=True))
    odd = {i: difference for i, ((_, x), y) in enumerate(pairs) if (difference := unlike(np.asarray(x), y))}
    if not odd:
        return
    shaken = [] if trial.thorough else [jax.tree.leaves(reference(other)) for other in trial.shaken]
    for i, difference in odd.items():
        (path, x), y = pairs[i]
        moved = furthest(x, (leaves[i] for leaves in shaken))
        fine = distance(x, y) <= MORE * moved
        assert fine, f"{what}{jax.tree_util.keystr(path)}: {difference}; rounding moves it by {moved:.3g}\n{x}\n{y}"
    trial.did["decided by rounding"] += 1


def check_finite(trial: Trial, batch: Mapping[str, Any] | None = None) -> None:
    """All results are finite if every stage runs, no update is flagged as bad, and actions lie in [-1, 1]."""
    state, metrics, feedback = trial.stepped
    if batch is not None:
        state, metrics, feedback = on_host(trial.program.step(as_arrays(trial.state), dict(batch), trial.hyper))
    for path, leaf in jax.tree.leaves_with_path({"state": state, "metric": metrics, "feedback": feedback}):
        assert np.isfinite(leaf).all(), f"{jax.tree_util.keystr(path)} is not finite: {leaf}{_first_bad(trial, batch)}"
    assert state["bad_update"] == -1, f"update {state['bad_update']} is called bad"
    for mode in MODES:
        obs = (batch or trial.batch)["s"]
        action = np.asarray(trial.program.act(trial.state, obs, COUNTER, mode, trial.hyper)["action"])
        expected = len(obs), trial.program.chunk * trial.program.action_size
        assert action.shape == expected, f"{mode} gives shape {action.shape}"
        assert np.isfinite(action).all() and np.abs(action).max() <= 1, f"{mode} gives {action}, outside of [-1, 1]"


def _first_bad(trial: Trial, batch: Mapping[str, Any] | None) -> str:
    """The location, in the step and in the spec, of the first non-finite value."""
    values = trial.values(batch)
    for node in trial.graph.nodes.values():
        for leaf in map(np.asarray, jax.tree.leaves(values[node.name])):
            if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
                return f"\nfirst at {node.name}, {node.span or 'no line of the spec'}: {leaf}"
    return ""


def check_shapes(trial: Trial) -> None:
    """A step preserves the shapes of the state; every value has its declared axes."""
    batch, program = trial.batch, trial.program
    _assert_same_shapes("a step changes", trial.state, trial.traced_step.out_info[0])
    length = program.chunk * program.action_size
    lengths = {"batch": batch["s"].shape[0], "obs": program.obs_size, "action": length}
    others = {"batch": lengths["batch"]}  # a value beside another one has their total length, entries have their own
    for node in trial.graph.nodes.values():
        if node.type.dtype not in ("tree", "u32"):
            _assert_axes(node, np.shape(trial.interpreted[node.name]), others if node.op in ("Embed", ENTRIES) else lengths)


def _assert_same_shapes(what: str, left: Any, right: Any) -> None:
    left, right = (
        {jax.tree_util.keystr(path): (np.shape(leaf), str(leaf.dtype)) for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (left, right)
    )
    odd = [f"{path}: {left.get(path)}, {right.get(path)}" for path in left | right if left.get(path) != right.get(path)]
    assert not odd, f"{what} shapes: {'; '.join(odd)}"


def _assert_axes(node: Node, shape: tuple[int, ...], lengths: Mapping[str, int]) -> None:
    assert len(shape) == len(node.type.axes), f"{node.name}: {node.type} has the shape {shape}"
    for axis, length in zip(node.type.axes, shape, strict=True):
        assert axis not in lengths or length == lengths[axis], f"{node.name}: axis {axis} of {node.type} in shape {shape}"


_WEIGHTS: dict[str, Callable[[np.ndarray, int], bool]] = {
    "jax.nn.softmax": lambda w, axis: bool((w >= 0).all() and np.allclose(w.sum(axis), 1, atol=1e-4)),
    "best": lambda w, axis: bool(np.isin(w, (0, 1)).all() and (w.sum(axis) == 1).all()),
    "jax.nn.log_softmax": lambda w, axis: bool(np.allclose(np.exp(w).sum(axis), 1, atol=1e-4)),
    "simplex_linear": lambda w, axis: bool(np.allclose(w.sum(axis), 1, atol=1e-4)),
    "simplex_square": lambda w, axis: bool((w >= 0).all() and np.allclose(w.sum(axis), 1, atol=1e-4)),
    "rank": lambda w, axis: bool((w >= 0).all() and (w < w.shape[axis]).all() and (w.min(axis) == 0).all()),
}


def check_weights(trial: Trial) -> None:
    """Weights in formulas are normalised: softmax, best and similar functions sum to 1 along their axis; ranks from 0."""
    for node in trial.graph.nodes.values():
        if node.op == "Weights" and isinstance(node.expr, Call) and node.expr.function in _WEIGHTS:
            axis = next(part.value for key, part in node.expr.kwargs if key == "axis" and isinstance(part, Literal))
            value = trial.interpreted[node.name]
            fine = _WEIGHTS[node.expr.function](value, axis)
            trial.did["weights"] += 1
            assert fine, f"{node.name} = {node.expr.function} along axis {axis} gives\n{value}"
