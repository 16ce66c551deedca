"""Rewrites of the update graph, one per file, and their order as one readable list.

A pass takes a graph and returns a graph that computes the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.passes.activations import cheap_activations
from flowrl_dsl.passes.chunk import ROWS, chunk_rows
from flowrl_dsl.passes.cse import common_subexpressions
from flowrl_dsl.passes.dce import dead_nodes
from flowrl_dsl.passes.first_layer import split_first_layers
from flowrl_dsl.passes.hoist import hoist_conditions
from flowrl_dsl.passes.inline import inline_outputs
from flowrl_dsl.passes.members import members_in_turn
from flowrl_dsl.passes.noise import quick_noise
from flowrl_dsl.passes.once import once_per_rollout

Pass = Callable[[Graph], Graph]

PIPELINE: dict[str, Pass] = {
    "cse": common_subexpressions,
    "dce": dead_nodes,
    "inline": inline_outputs,
    "first_layer": split_first_layers,
    "hoist": hoist_conditions,
    "activations": cheap_activations,
    "noise": quick_noise,
    "chunk": chunk_rows,
    "members": members_in_turn,
}

AFTER: dict[str, tuple[str, ...]] = {
    "inline": ("cse", "dce"),
    "chunk": ("inline", "hoist"),
    "members": ("chunk",),
}
"""The passes that must run before a pass, because it rewrites their results."""


def check_order(names: Sequence[str], after: Mapping[str, Sequence[str]] = MappingProxyType(AFTER)) -> None:
    """Raises ``ValueError`` for the first pass that runs before one it must follow, or that follows an unknown one."""
    places = {name: place for place, name in enumerate(names)}
    for name, earlier in after.items():
        for other in earlier:
            if name not in places or other not in places:
                raise ValueError(f"pass {name} must run after {other}: one of them is not in the pipeline")
            if places[other] > places[name]:
                raise ValueError(f"pass {name} must run after {other}, which follows it in the pipeline")


check_order(list(PIPELINE))


@dataclass(frozen=True)
class Applied:
    """The effect of one pass on one graph: nodes before and after it, and how many of the remaining nodes changed."""

    name: str
    nodes_before: int
    nodes_after: int
    changed: int


ONCE = "once"
"""The pass over two graphs of a program, ``step`` and ``rollout``; it follows those that merge and remove nodes."""
BEFORE_ONCE = ("cse", "dce")
NAMES = (*BEFORE_ONCE, ONCE, *(name for name in PIPELINE if name not in BEFORE_ONCE))
"""All passes in their order."""


def run_on_program(
    graphs: Mapping[str, Graph], held: Collection[str], names: Iterable[str] | None = None, *, rows: int = ROWS
) -> tuple[dict[str, Graph], list[Applied]]:
    """Run the named passes (all of them by default) on every graph of a program; what they did to its step.

    ``held`` and ``rows`` are those of :func:`once_per_rollout` and :func:`run_passes`, which raise what this raises.
    """
    chosen = NAMES if names is None else tuple(names)
    if ONCE not in chosen or "rollout" not in graphs:
        results = {key: run_passes(graph, set(chosen) - {ONCE}, rows=rows) for key, graph in graphs.items()}
        return {key: graph for key, (graph, _) in results.items()}, results["step"][1]
    first = [name for name in chosen if name in BEFORE_ONCE]
    tidied, before = run_on_program(graphs, held, first)
    step, rollout = once_per_rollout(tidied["step"], tidied["rollout"], held)
    once = Applied(ONCE, len(tidied["step"].nodes), len(step.nodes), _changed(tidied["step"], step))
    rest = set(chosen) - {ONCE, *first}
    found, after = run_on_program({**tidied, "step": step, "rollout": rollout}, held, rest, rows=rows)
    return found, [*before, once, *after]


def _changed(before: Graph, after: Graph) -> int:
    """How many of the remaining nodes are not as they were."""
    return sum(node != before.nodes.get(key) for key, node in after.nodes.items())


def run_passes(
    graph: Graph, names: Iterable[str] | None = None, *, rows: int = ROWS, check_each: bool = False
) -> tuple[Graph, list[Applied]]:
    """Run the named passes (all of them by default) in pipeline order; ``rows`` is the chunk size of ``chunk``.

    The graph is verified before the first and after the last pass; after every pass with ``check_each``.  Raises
    ``GraphError`` when an invariant is broken and ``ValueError`` for an unknown name.
    """
    chosen = list(PIPELINE) if names is None else sorted(names, key=list(PIPELINE).index)
    verify(graph)
    applied = []
    for name in chosen:
        before, graph = graph, chunk_rows(graph, rows) if name == "chunk" else PIPELINE[name](graph)
        applied.append(Applied(name, len(before.nodes), len(graph.nodes), _changed(before, graph)))
        if check_each:
            verify(graph)
    verify(graph)
    return graph, applied
