"""Ensemble members are computed sequentially if each computes many rows.

before   q = QValue(critic, s, a_hat) in pieces of 4096    all members' layers of a piece in memory at once
after    the same for one member, then for the next        one member's layers, which stay in the cache

Kernels that apply an ensemble compute all members as one product for any number of rows; their variant ``together`` does so
up to a given number of rows.  In nodes marked by ``chunk``, and in the nodes differentiated by its gradients with respect to
actions, that number is a quarter of a chunk.  Gradients with respect to the ensemble's own parameters, and a few hundred
rows, are faster with all members as one product: docs/performance.md.
"""

from __future__ import annotations

from flowrl_dsl.graph.expr import Expr
from flowrl_dsl.graph.nodes import GRAD, Graph, Node, region
from flowrl_dsl.passes.rewriting import in_variant, rewrite_expressions


def members_in_turn(graph: Graph) -> Graph:
    """The graph whose ensembles are computed member by member within chunked nodes."""
    limits: dict[str, int] = {}
    for node in graph.nodes.values():
        if node.chunk is not None:
            inside = region(graph, node) if _by_actions(graph, node) else [node.name]
            limits |= dict.fromkeys(inside, node.chunk // 4)
    return rewrite_expressions(graph, lambda node: _limited(node.expr, limits.get(node.name)))


def _limited(expr: Expr | None, rows: int | None) -> Expr | None:
    return expr if rows is None else in_variant(expr, "together", rows)


def _by_actions(graph: Graph, node: Node) -> bool:
    return node.op == GRAD and "batch" in graph.nodes[node.inputs[1]].type.axes
