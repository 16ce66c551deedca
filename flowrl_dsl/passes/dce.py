"""Dead-node elimination.

before   q = QValue(critic, s, a)      after   q = QValue(critic, s, a)
         v = max(q)                            -> mean(q)
         -> mean(q)

Nodes that no output depends on are removed.  Inputs stay, so the program's signature does not depend on their use.
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.graph.nodes import INPUT, Graph, ancestors


def dead_nodes(graph: Graph) -> Graph:
    """The graph without nodes that no output depends on."""
    needed = ancestors(graph, graph.outputs.values())
    nodes = {name: node for name, node in graph.nodes.items() if name in needed or node.op == INPUT}
    return replace(graph, nodes=nodes)
