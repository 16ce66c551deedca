"""Random numbers in one loop.

before   jax.random.normal(key, shape)      on CPUs rounds of the generator in turn, each over all numbers in memory
after    quick_normal(key, shape)           one loop that makes each number from its place

Uniform numbers have the same bits, normal ones are the same to within the rounding of float32.  Kernels that draw many
numbers have a variant ``quick``.  What reverse samples compute of theirs is so long that one loop of both would
not vectorise: they draw row by row, in a loop apart (docs/performance.md).
"""

from __future__ import annotations

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import in_variant, rewrite_expressions


def quick_noise(graph: Graph) -> Graph:
    """The graph whose nodes draw their numbers quickly."""
    return rewrite_expressions(graph, lambda node: in_variant(node.expr, "quick"))
