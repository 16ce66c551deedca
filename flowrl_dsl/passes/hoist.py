"""What does not depend on the step is moved out of the sampler's loop.

before   for each step:  a_t <- ... net(a_t, t, s)                with all of net computed in every step
after    c = condition(s);  for each step:  a_t <- ... net(a_t, t, c)

``condition`` is the embedding of the observation, and its part of the first layer where that is split.
"""

from __future__ import annotations

from flowrl_dsl.graph.expr import Call, Expr, rewrite
from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import rewrite_expressions


def hoist_conditions(graph: Graph) -> Graph:
    """The graph whose samplers compute what depends on the observation before their loop."""
    return rewrite_expressions(graph, lambda node: None if node.expr is None else rewrite(node.expr, _hoisted))


def _hoisted(expr: Expr) -> Expr:
    if isinstance(expr, Call) and expr.function == "denoise_at":
        return Call("denoise_given", expr.args, expr.kwargs)
    return expr
