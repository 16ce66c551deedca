"""Computations on many actions per state are split into chunks that fit into the processor's cache.

before   q = QValue(critic, s, a_hat)                   500 x 256 rows at once, every layer through main memory
         g = Grad(sum q, a_hat)
after    for 8 states at a time: q and g of their rows  4000 rows stay in the cache from layer to layer

Nodes are marked with the maximum number of rows to compute at once (``Node.chunk``); the number of states per chunk follows
when sizes are known.  Marked are, if states are independent: action values; gradients with respect to actions, with their
forward nodes; gradients with respect to parameters of losses that are means over states, which are the means of the chunks'
gradients; and the network inside a sampler's loop (after ``hoist``).  A gradient with respect to parameters stores two
numbers per unit, its value and its slope, for the backward pass: its chunks have half as many rows.
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.axes import MANY_ACTIONS
from flowrl_dsl.graph.expr import Call
from flowrl_dsl.graph.nodes import GRAD, SCALAR, Graph, Node, region
from flowrl_dsl.passes.rewriting import in_variant

ROWS = 4096
"""On two cores chunks of 2000 to 8000 rows of 256 numbers were equally fast: docs/performance.md."""
_BY_STATE = frozenset({"QValue", "Predict", "Arithmetic", "Reduce", "Subset"})
"""Operations that treat states independently if their values have the axis ``batch``."""
_LINEAR = {"jnp.add": 2, "jnp.multiply": 1}
"""Arithmetic that maps means over states to means, and how many of its two operands may depend on the states."""


def chunk_rows(graph: Graph, rows: int = ROWS) -> Graph:
    """The graph with nodes of many actions per state marked to be computed in chunks of so many rows."""
    regions = {node.name: region(graph, node) for node in graph.nodes.values() if node.op == GRAD}
    gradients = {name for name, inside in regions.items() if _gradient_by_state(graph, name, inside)}
    differentiated = {name for inside in regions.values() for name in inside}
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if name in differentiated:
            continue
        if name in gradients:
            nodes[name] = replace(node, chunk=rows if "batch" in node.type.axes else max(rows // 2, 1))
        elif node.op in ("QValue", "Predict") and _many(node) and _by_state(graph, node):
            nodes[name] = replace(node, chunk=rows)
        elif node.op == "Sample":
            nodes[name] = replace(node, expr=in_variant(node.expr, "chunk", rows))
    return replace(graph, nodes=nodes)


def _many(node: Node) -> bool:
    return not set(MANY_ACTIONS).isdisjoint(node.type.axes)


def _by_state(graph: Graph, node: Node) -> bool:
    """Whether the node can be computed for some states without the others; random nodes cannot, except subsets."""
    read = [graph.nodes[i].type for i in node.inputs]
    drawn = node.op != "Subset" and any(type.dtype == "u32" for type in read)
    return node.op in _BY_STATE and not drawn and "batch" in node.type.axes and any("batch" in type.axes for type in read)


def _mean_over_states(graph: Graph, node: Node, inside: list[str]) -> bool:
    """Whether the node is a mean over states, or a linear combination of such means."""
    if node.type != SCALAR or node.op == "Loss":
        return node.type == SCALAR
    depends = sum(i in inside for i in node.inputs)
    return isinstance(node.expr, Call) and depends <= _LINEAR.get(node.expr.function, 0)


def _gradient_by_state(graph: Graph, name: str, inside: list[str]) -> bool:
    """Whether a gradient can be assembled from gradients of subsets of the states.

    It is one with respect to many actions of a sum over states, or to parameters of a mean over states.
    """
    loss, wrt = (graph.nodes[i] for i in graph.nodes[name].inputs)
    parts = [graph.nodes[i] for i in inside]
    if "batch" in wrt.type.axes:
        possible = "batch" in loss.type.axes and all(_by_state(graph, node) for node in parts)
    else:
        means = [node for node in parts if "batch" not in node.type.axes]
        possible = loss in means and all(_mean_over_states(graph, node, inside) for node in means)
        possible = possible and all(_by_state(graph, node) for node in parts if node not in means)
    return possible and any(node.op in ("QValue", "Predict") and _many(node) for node in parts)
