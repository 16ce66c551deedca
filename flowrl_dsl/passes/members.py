"""Members of an ensemble one after the other, where each computes many rows.

before   q = QValue(critic, s, a_hat) in pieces of 4096    all members' layers of a piece in memory at once
after    the same for one member, then for the next        one member's layers, which stay in the cache

Calls that apply an ensemble say ``together=None``: all members as one product, whatever the number of rows.  In nodes that
``chunk`` marks, and in what its gradients by actions differentiate, that becomes a quarter of a piece; how many rows there
are is known when sizes are.  Gradients by the ensemble's own parameters are faster with all members as one, as are a few
hundred rows: docs/performance.md.
"""

from __future__ import annotations

from flowrl_dsl.graph.expr import Call, Expr, Literal, rewrite
from flowrl_dsl.graph.nodes import GRAD, Graph, Node, region
from flowrl_dsl.passes.rewriting import rewrite_expressions

_ALWAYS = ("together", Literal(None))


def members_in_turn(graph: Graph) -> Graph:
    """The graph whose ensembles are computed member by member, where values of many actions are taken in pieces."""
    limits: dict[str, int] = {}
    for node in graph.nodes.values():
        if node.chunk is not None:
            inside = region(graph, node) if _by_actions(graph, node) else [node.name]
            limits |= dict.fromkeys(inside, node.chunk // 4)
    return rewrite_expressions(graph, lambda node: _limited(node.expr, limits.get(node.name)))


def _by_actions(graph: Graph, node: Node) -> bool:
    return node.op == GRAD and "batch" in graph.nodes[node.inputs[1]].type.axes


def _limited(expr: Expr | None, rows: int | None) -> Expr | None:
    def change(part: Expr) -> Expr:
        if not isinstance(part, Call):
            return part
        kwargs = tuple(("together", Literal(rows)) if option == _ALWAYS else option for option in part.kwargs)
        return Call(part.function, part.args, kwargs)

    return expr if expr is None or rows is None else rewrite(expr, change)
