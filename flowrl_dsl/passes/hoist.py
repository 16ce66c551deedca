"""Computations that do not depend on the step are moved out of the sampler's loop.

before   for each step:  a_t <- ... net(a_t, t, s)                with all of net computed in every step
after    c = condition(s);  for each step:  a_t <- ... net(a_t, t, c)

``condition`` is the embedding of the observation, and its part of the first layer if that is split.  Kernels declare the
function of (a_t, t) that computes it once as their variant ``given``.
"""

from __future__ import annotations

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import in_variant, rewrite_expressions


def hoist_conditions(graph: Graph) -> Graph:
    """The graph whose samplers compute the part that depends only on the observation before their loop."""
    return rewrite_expressions(graph, lambda node: in_variant(node.expr, "given"))
