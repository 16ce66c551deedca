"""Each check of programs refuses a program that is broken in the way it is there for.

Nothing is compiled: NumPy computes the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest

from flowrl_dsl.graph.expr import Arg, Call, Expr, call
from flowrl_dsl.graph.nodes import TREE, Graph, Node, Type
from flowrl_dsl.runtime import learner
from flowrl_dsl.testing import invariants
from flowrl_dsl.testing.instruments import add_to_all
from flowrl_dsl.testing.invariants import Trial, tiny
from flowrl_dsl.testing.traced import Slow


@cache
def _sound(name: str) -> Trial:
    trial = Trial(tiny(name))
    trial.program.jit_step = Slow(trial.program._step)
    return trial


def sound(name: str) -> Trial:
    """A trial of a shipped spec that nothing is wrong with, its step as NumPy computes it."""
    known = _sound(name)
    trial = Trial.__new__(Trial)
    trial.__dict__ |= known.__dict__ | {"did": known.did.copy(), "state": known.state}
    outputs = known.graph.outputs.items()
    values = known.interpreted
    named = {out: values[node] for out, node in outputs}
    trial.stepped = tuple(
        {out.removeprefix(group): value for out, value in named.items() if out.startswith(group)}
        for group in ("state.", "metric.", "feedback.")
    )
    return trial


def broken(name: str, changed: Callable[[Graph], dict[str, Node]], outputs: dict[str, str] | None = None) -> Trial:
    """A trial whose step has other nodes; the state after the step is still that of the sound one."""
    trial = sound(name)
    graph = trial.graph
    program = trial.program
    trial.program = type(program).__new__(type(program))
    trial.program.__dict__ |= program.__dict__
    nodes = replace(graph, nodes={**graph.nodes, **changed(graph)}, outputs={**graph.outputs, **(outputs or {})})
    trial.program.graphs = {**program.graphs, "step": nodes}
    for computed in ("interpreted", "_by_node"):
        trial.__dict__.pop(computed, None)
    return trial


def wrapped(graph: Graph, fits: Callable[[Node], bool], expr: Callable[[Expr], Expr]) -> dict[str, Node]:
    """The first node that fits, with another expression."""
    node = next(node for node in graph.nodes.values() if node.expr is not None and fits(node))
    return {node.name: replace(node, expr=expr(node.expr))}


def rejects(check: Callable[[Trial], None], trial: Trial, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        check(trial)


def weights(node: Node) -> bool:
    return node.op == "Weights" and node.type.axes == ("batch", "particle")


CHECKS = (
    invariants.check_interpreted,
    invariants.check_shifted_values,
    invariants.check_permutations,
    invariants.check_losses_touch_only_their_own,
    invariants.check_targets,
    invariants.check_weights,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_sound_programs_pass(check: Callable[[Trial], None]) -> None:
    trial = sound("dpmd")
    check(trial)
    looked_at = {"check_permutations": "permuted particle", "check_targets": "copies", "check_weights": "weights"}
    looked_at |= {"check_shifted_values": "weights of moved Q"}
    assert trial.did[looked_at.get(check.__name__, "compiled step")] > 0


def test_values_that_depend_on_the_place_in_the_batch() -> None:
    cumulated = partial(wrapped, fits=lambda node: node.name == "critic.backup", expr=lambda e: call("jnp.cumsum", e))
    rejects(invariants.check_permutations, broken("dpmd", cumulated), "critic.backup is not that of another order of batch")


def test_values_that_depend_on_the_place_among_the_particles() -> None:
    cumulated = partial(wrapped, fits=weights, expr=lambda e: call("jnp.cumsum", e, axis=1))
    rejects(invariants.check_permutations, broken("dpmd", cumulated), "is not that of another order of particle")


def test_one_draw_for_the_whole_batch_is_as_good_as_one_for_each_row() -> None:
    """The same noise in all rows commutes with permutations: that draws are independent is not what is checked."""
    first = partial(
        wrapped,
        fits=lambda node: node.op == "Noise" and node.type.axes[:1] == ("batch",),
        expr=lambda e: call("jnp.zeros_like", e),
    )
    invariants.check_permutations(broken("dpmd", first))


def test_weights_that_see_more_than_differences() -> None:
    def squared(e: Expr) -> Expr:
        assert isinstance(e, Call)
        return replace(e, args=(call("jnp.square", Arg(0)),))

    # sdac's weights take Q as it is, dpmd's take it less its maximum
    trial = broken("sdac", partial(wrapped, fits=lambda node: node.op == "Weights", expr=squared))
    rejects(invariants.check_shifted_values, trial, "changes with 1.0 Q")


def test_weights_that_do_not_sum_to_one() -> None:
    def along_nothing(e: Expr) -> Expr:
        assert isinstance(e, Call)
        return replace(e, args=(call("jnp.full_like", Arg(0), float("nan")),))

    rejects(invariants.check_weights, broken("dpmd", partial(wrapped, fits=weights, expr=along_nothing)), "jax.nn.softmax")


def test_a_loss_that_reaches_what_is_not_its_own() -> None:
    def leaky(graph: Graph) -> dict[str, Node]:
        inputs = graph.outputs["state.critic"], graph.outputs["metric.policy_loss"]
        return {"leak": Node("leak", "Arithmetic", inputs, call(add_to_all, Arg(0), Arg(1)), TREE)}

    trial = broken("td3", leaky, {"state.critic": "leak"})
    invariants.check_losses_touch_only_their_own(trial)  # a number from a loss is no gradient

    def learns_from_the_other(graph: Graph) -> dict[str, Node]:
        inputs = graph.outputs["state.critic"], graph.outputs["metric.policy_gradient_norm"]
        return {"leak": Node("leak", "Arithmetic", inputs, call(add_to_all, Arg(0), Arg(1)), TREE)}

    trial = broken("td3", learns_from_the_other, {"state.critic": "leak"})
    rejects(invariants.check_losses_touch_only_their_own, trial, "the gradient of policy reaches critic")


@pytest.mark.parametrize("share, fine", [(0.0, True), (0.3, True), (1.0, True), (1.1, False), (-0.1, False)])
def test_copies_that_move_too_far_or_away(share: float, fine: bool) -> None:
    trial = sound("td3")
    state, metrics, feedback = trial.stepped

    def between(old: Any, new: Any) -> Any:
        return jax.tree.map(lambda x, y: x + share * (y - x), old, new)

    moved = {"critic_target": between(trial.state["critic_target"], state["critic"])}
    trial.stepped = ({**state, **moved}, metrics, feedback)
    if fine:
        invariants.check_targets(trial)
    else:
        rejects(invariants.check_targets, trial, "critic_target is no convex combination")


def test_copies_whose_entries_move_differently() -> None:
    trial = sound("td3")
    state, metrics, feedback = trial.stepped
    leaves, structure = jax.tree.flatten(state["critic_target"])
    before = jax.tree.leaves(trial.state["critic_target"])
    # the one that moves most: biases are 0 before and after
    k = int(np.argmax([np.abs(new - old).max() for old, new in zip(before, leaves, strict=True)]))
    leaves[k] = before[k]
    trial.stepped = ({**state, "critic_target": jax.tree.unflatten(structure, leaves)}, metrics, feedback)
    rejects(invariants.check_targets, trial, "critic_target is no convex combination")


def test_another_program_than_the_interpreted_one() -> None:
    wrong = partial(wrapped, fits=lambda node: node.name == "critic.backup", expr=lambda e: call("jnp.negative", e))
    rejects(invariants.check_interpreted, broken("td3", wrong), "interpreted and compiled")


def test_a_printed_program_that_computes_something_else() -> None:
    trial = sound("td3")
    trial.program.jit_step = jax.jit(trial.program._step)  # to be traced, not compiled
    trial.source = trial.source.replace("jnp.square(jnp.abs(", "jnp.abs(jnp.abs(")
    rejects(invariants.check_printed, trial, "printed and compiled")
    trial = sound("td3")
    trial.source = trial.source.replace("HYPER = {", "HYPER = {'more': 1.0, ")
    trial.__dict__.pop("printed", None)
    trial.__dict__.pop("printed_results", None)
    rejects(invariants.check_printed, trial, "HYPER")


def test_axes_that_are_not_those_of_the_value() -> None:
    def mistyped(graph: Graph) -> dict[str, Node]:
        return {"critic.backup": replace(graph.nodes["critic.backup"], type=Type(("batch", "action")))}

    trial = broken("td3", mistyped)
    trial.program.jit_step = jax.jit(trial.program._step)
    rejects(invariants.check_shapes, trial, "critic.backup")


def test_an_update_of_too_many_steps() -> None:
    trial = sound("td3")
    program = trial.program
    program.jit_update = Slow(lambda state, replay, n, hyper: program._update(state, replay, n, hyper))
    invariants.check_update_is_repeated_step(trial)
    program.jit_update = Slow(lambda state, replay, n, hyper: program._update(state, replay, n + 1, hyper))
    rejects(invariants.check_update_is_repeated_step, trial, "update and repeated steps: state")


def test_a_checkpoint_that_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = sound("td3")
    trial.program.jit_step = jax.jit(trial.program._step)
    invariants.check_checkpoint_restores(trial)
    whole = learner.to_arrays

    def rounded(state: Any) -> dict[str, np.ndarray]:
        arrays = whole(state)
        return {k: x.astype(np.float16).astype(x.dtype) if x.dtype.kind == "f" else x for k, x in arrays.items()}

    monkeypatch.setattr(learner, "to_arrays", rounded)
    rejects(invariants.check_checkpoint_restores, trial, "the checkpoint changes")
