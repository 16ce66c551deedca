"""Common-subexpression elimination.

before   q1 = QValue(critic, s, a)     after   q1 = QValue(critic, s, a)
         q2 = QValue(critic, s, a)             y  = mean(q1) + min(q1)
         y  = mean(q1) + min(q2)

Nodes are equal when operation, expression and (merged) inputs are equal.  Two draws are never merged, as their keys contain
their names.  Inputs of the program are never merged.
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.graph.nodes import INPUT, Graph, Node


def common_subexpressions(graph: Graph) -> Graph:
    """The graph with equal nodes merged."""
    first: dict[tuple, str] = {}
    stands_for: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        node = replace(node, inputs=tuple(stands_for[i] for i in node.inputs))
        identity = (node.name,) if node.op == INPUT else (node.op, node.expr, node.inputs, node.type)
        kept = first.setdefault(identity, node.name)
        stands_for[node.name] = kept
        if kept == node.name:
            nodes[kept] = node
    return replace(graph, nodes=nodes, outputs={out: stands_for[name] for out, name in graph.outputs.items()})
