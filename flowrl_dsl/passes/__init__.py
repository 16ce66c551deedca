"""Rewrites of the update graph, one per file, and their order as one readable list.

A pass takes a graph and returns a graph that computes the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.passes.cse import common_subexpressions
from flowrl_dsl.passes.dce import dead_nodes

Pass = Callable[[Graph], Graph]

PIPELINE: dict[str, Pass] = {
    "cse": common_subexpressions,
    "dce": dead_nodes,
}


@dataclass(frozen=True)
class Applied:
    """What one pass did to one graph."""

    name: str
    nodes_before: int
    nodes_after: int


def run_passes(graph: Graph, names: Iterable[str] | None = None, *, check_each: bool = False) -> tuple[Graph, list[Applied]]:
    """Run the named passes (all of them by default) in pipeline order.

    The graph is verified before the first and after the last pass; after every pass with ``check_each``.  Raises
    ``GraphError`` when an invariant is broken and ``KeyError`` for an unknown name.
    """
    chosen = list(PIPELINE) if names is None else sorted(names, key=list(PIPELINE).index)
    verify(graph)
    applied = []
    for name in chosen:
        before = len(graph.nodes)
        graph = PIPELINE[name](graph)
        applied.append(Applied(name, before, len(graph.nodes)))
        if check_each:
            verify(graph)
    verify(graph)
    return graph, applied
