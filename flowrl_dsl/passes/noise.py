"""Random numbers in one loop.

before   jax.random.normal(key, shape)      on CPUs rounds of the generator in turn, each over all numbers in memory
after    quick_normal(key, shape)           one loop that computes each number from its index

Uniform numbers have the same bits, normal ones are the same to within the rounding of float32.  Kernels that draw many
numbers have a variant ``quick``.  The computation of reverse samples is so long that one loop with the draws would
not be vectorised: they are drawn row by row, in a separate loop (docs/performance.md).
"""

from __future__ import annotations

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import in_variant, rewrite_expressions


def quick_noise(graph: Graph) -> Graph:
    """The graph whose nodes use the fast random number kernels."""
    return rewrite_expressions(graph, lambda node: in_variant(node.expr, "quick"))
