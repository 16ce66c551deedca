"""A Q-value that is the only reader of a network's output absorbs that call.

before   outputs = Predict(critic, s, a_hat) = ensemble_outputs(net, critic, ...)
         q       = QValue(outputs)           = mean_quantile(outputs)
after    q       = QValue(critic, s, a_hat)  = mean_quantile(ensemble_outputs(net, critic, ...))

The outputs of a distribution have an unnamed axis, the value does not: it can be computed for subsets of the states
(``chunk``), so the outputs, many numbers per action, never exist for all states at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flowrl_dsl.graph.expr import Arg, rewrite
from flowrl_dsl.graph.nodes import TREE, Graph, Node


def inline_outputs(graph: Graph) -> Graph:
    """The graph whose action values absorb network calls that only they read."""
    uses = Counter([*graph.outputs.values(), *(i for node in graph.nodes.values() for i in node.inputs)])
    nodes = dict(graph.nodes)
    for node in graph.nodes.values():
        if node.op != "QValue" or len(node.inputs) != 1:
            continue
        source = graph.nodes[node.inputs[0]]
        if source.op == "Predict" and source.type == TREE and uses[source.name] == 1:
            nodes[node.name] = _joined(node, source)
            del nodes[source.name]
    return replace(graph, nodes=nodes)


def _joined(node: Node, source: Node) -> Node:
    """The node with its only input replaced by the expression of that input."""
    assert node.expr is not None and source.expr is not None
    inner = source.expr
    return replace(node, inputs=source.inputs, expr=rewrite(node.expr, lambda part: inner if part == Arg(0) else part))
