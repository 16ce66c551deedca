"""Dead-node elimination.

before   q = QValue(critic, s, a)      after   q = QValue(critic, s, a)
         v = max(q)                            -> mean(q)
         -> mean(q)

What no output needs is dropped.  Inputs stay, so that the program's signature does not depend on what it reads.
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.graph.nodes import INPUT, Graph, ancestors


def dead_nodes(graph: Graph) -> Graph:
    """The graph without nodes that no output is computed from."""
    needed = ancestors(graph, graph.outputs.values())
    nodes = {name: node for name, node in graph.nodes.items() if name in needed or node.op == INPUT}
    return replace(graph, nodes=nodes)
