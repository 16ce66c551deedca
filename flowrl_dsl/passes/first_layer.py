"""First layers are split by input if many rows share one.

before   h = [s, a] @ [W_s; W_a] + b, with s repeated for every action
after    h = s @ W_s + a @ W_a + b, with s @ W_s computed once for each state

Networks of named inputs have one kernel per input; their variant ``split`` applies the kernels separately.
If every row has its own inputs, one product is faster than several, and is kept.
"""

from __future__ import annotations

from flowrl_dsl.graph.expr import Expand, Expr, as_variant, walk
from flowrl_dsl.graph.nodes import Graph, Node
from flowrl_dsl.passes.rewriting import rebuilt, rewrite_expressions


def split_first_layers(graph: Graph) -> Graph:
    """The graph whose networks multiply shared inputs once."""
    return rewrite_expressions(graph, _split)


def _split(node: Node) -> Expr | None:
    shares = node.op == "Sample" or (node.expr is not None and any(isinstance(part, Expand) for part in walk(node.expr)))
    return rebuilt(node.expr, lambda call: as_variant(call, "split"), "_by_input") if shares else node.expr
