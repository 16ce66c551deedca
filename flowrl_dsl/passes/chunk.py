"""Many actions for each state are taken in pieces that fit into the processor's cache.

before   q = QValue(critic, s, a_hat)                   500 x 256 rows at once, every layer through main memory
         g = Grad(sum q, a_hat)
after    for 8 states at a time: q and g of their rows  4000 rows stay in the cache from layer to layer

Nodes are marked with the number of rows they may compute at once (``Node.chunk``); how many states that makes is decided
when sizes are known.  Marked are action values, and gradients by actions with all that leads to them, where each state is
computed by itself; and the network inside a sampler's loop (after ``hoist``).
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.graph.expr import Call, Expr, Literal, rewrite
from flowrl_dsl.graph.nodes import GRAD, Graph, Node, region

ROWS = 4096
"""On two cores pieces of 2000 to 8000 rows of 256 numbers were equally fast: docs/performance.md."""
MANY = frozenset({"particle", "reverse"})
"""Axes of several actions for one state."""
_BY_STATE = frozenset({"QValue", "Predict", "Arithmetic", "Reduce", "Subset"})
"""Operations that treat states alike and apart, if their values have the axis ``batch``."""


def chunk_rows(graph: Graph, rows: int = ROWS) -> Graph:
    """The graph whose nodes of many actions for each state are marked to be computed in pieces of so many rows."""
    regions = {node.name: region(graph, node) for node in graph.nodes.values() if node.op == GRAD}
    gradients = {name for name, inside in regions.items() if _gradient_by_state(graph, name, inside)}
    differentiated = {name for inside in regions.values() for name in inside}
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if name in differentiated:
            continue
        if name in gradients or (node.op in ("QValue", "Predict") and _many(node) and _by_state(graph, node)):
            nodes[name] = replace(node, chunk=rows)
        elif node.op == "Sample" and node.expr is not None:
            nodes[name] = replace(node, expr=rewrite(node.expr, lambda part: _in_pieces(part, rows)))
    return Graph(graph.name, nodes, graph.outputs)


def _many(node: Node) -> bool:
    return not MANY.isdisjoint(node.type.axes)


def _by_state(graph: Graph, node: Node) -> bool:
    """Whether the node can be computed for some states without the others."""
    sliced = [i for i in node.inputs if "batch" in graph.nodes[i].type.axes]
    return node.op in _BY_STATE and "batch" in node.type.axes and bool(sliced)


def _gradient_by_state(graph: Graph, name: str, inside: list[str]) -> bool:
    """Whether a gradient is one by many actions of a sum over states, each of which it depends on alone."""
    loss, wrt = (graph.nodes[i] for i in graph.nodes[name].inputs)
    heavy = any(graph.nodes[i].op in ("QValue", "Predict") for i in inside)
    return heavy and _many(wrt) and "batch" in loss.type.axes and all(_by_state(graph, graph.nodes[i]) for i in inside)


def _in_pieces(expr: Expr, rows: int) -> Expr:
    if isinstance(expr, Call) and expr.function == "denoise_given":
        return Call(expr.function, expr.args, (("chunk", Literal(rows)),))
    return expr
