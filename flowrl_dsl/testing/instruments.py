"""Instrumented step graphs: additional inputs, called handles, perturb intermediate values and are neutral by default.

``poison.GROUP`` is added to the gradients of a parameter group; every action value Q becomes ``q_scale Q + q_shift``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flowrl_dsl.graph.expr import Arg, Call, Item, call, kernel
from flowrl_dsl.graph.nodes import INPUT, SCALAR, WHEN, Graph, Node
from flowrl_dsl.lazy import jax

NEUTRAL = {"q_scale": 1.0, "q_shift": 0.0}
"""The handles that every graph has, and the values with which they change nothing."""


@kernel
def add_to_all(tree, number):
    """The tree with a number added to every entry."""
    return jax.tree.map(lambda x: x + number, tree)


@kernel
def scaled_and_shifted(x, scale, shift):
    """scale x + shift"""
    return scale * x + shift


def steps_of(graph: Graph) -> list[Node]:
    """The optimizer steps of a graph: inputs are parameters, gradient, optimizer state, numbers."""
    return [node for node in graph.nodes.values() if node.op == "GradientStep"]


def group_of(graph: Graph, step: Node) -> str:
    """The parameter group that an optimizer step changes, even if an earlier step of the same update also changed it."""
    name = step.inputs[0]
    while not name.startswith("state."):
        item = graph.nodes[name]
        written = graph.nodes[item.inputs[0]]
        if written.op == WHEN:
            assert isinstance(item.expr, Item) and isinstance(item.expr.key, int)
            name = written.inputs[1 + len(written.inputs) // 2 + item.expr.key]
        else:
            name = written.inputs[0]
    return name.removeprefix("state.")


def trained_groups(graph: Graph) -> list[str]:
    """The parameter groups that optimizers change, each once."""
    return list(dict.fromkeys(group_of(graph, step) for step in steps_of(graph)))


def instrumented(graph: Graph) -> Graph:
    """The graph with handles.  Nodes keep their names; a value before its perturbation is ``NAME.plain``."""
    poisons = {step.inputs[1]: f"poison.{group_of(graph, step)}" for step in steps_of(graph)}
    handles = [*dict.fromkeys(poisons.values()), *NEUTRAL]
    nodes = {name: Node(name, INPUT, (), None, SCALAR) for name in handles}
    for node in graph.nodes.values():
        if node.name in poisons:
            nodes |= _bent(node, add_to_all, poisons[node.name])
        elif node.op == "QValue":
            nodes |= _bent(node, scaled_and_shifted, *NEUTRAL)
        else:
            nodes[node.name] = node
    return replace(graph, nodes=nodes)


def _bent(node: Node, function: Callable, *handles: str) -> dict[str, Node]:
    plain = replace(node, name=f"{node.name}.plain")
    expr: Call = call(function, *(Arg(i) for i in range(1 + len(handles))))
    bent = Node(node.name, "Arithmetic", (plain.name, *handles), expr, node.type, node.span)
    return {plain.name: plain, node.name: bent}


def neutral(graph: Graph) -> dict[str, np.float32]:
    """The neutral values of the handles."""
    poisons = {f"poison.{group}": 0.0 for group in trained_groups(graph)}
    return {name: np.float32(value) for name, value in (poisons | NEUTRAL).items()}
