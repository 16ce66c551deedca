"""Cheap exact activations.

before   mish(x) = x tanh(log(1 + exp(x)))                        three functions for each number
after    mish(x) = x (e^2 + 2e)/(e^2 + 2e + 2), e = exp(x)        one

The same function, to within the rounding of float32.
"""

from __future__ import annotations

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import rebuilt, rewrite_expressions


def cheap_activations(graph: Graph) -> Graph:
    """The graph whose networks compute their activations with as few functions as it takes."""
    return rewrite_expressions(graph, lambda node: rebuilt(node.expr, "activation", "mish", "quick_mish", "_quick"))
