"""Invariants of update graphs, checked before and after the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from flowrl_dsl.graph.expr import Arg, Build, Call, Partial, is_function, walk
from flowrl_dsl.graph.nodes import ROLES, Graph, Node
from flowrl_dsl.graph.rules import RULES


class GraphError(Exception):
    """A violated invariant of a graph: an error of a component or of a pass, never of a spec."""


def verify(graph: Graph) -> None:
    """Raise :class:`GraphError` naming every broken invariant.

    Nodes follow their inputs; each satisfies the rule of its operation (``graph/rules.py``); expressions use inputs and
    functions that exist; modules of one name are built alike; a random key feeds one draw; a step writes every group of
    the state it reads, and no other.
    """
    problems = list(_order(graph))
    if not any(i not in graph.nodes for node in graph.nodes.values() for i in node.inputs):
        problems += (problem for check in _CHECKS for problem in check(graph))
    if problems:
        raise GraphError(f"graph {graph.name}: " + "; ".join(problems))


def verify_together(graphs: Iterable[Graph]) -> None:
    """Raise :class:`GraphError` where two graphs of one program build different modules of one name."""
    problems = list(_modules(node for graph in graphs for node in graph.nodes.values()))
    if problems:
        raise GraphError("the graphs of one program: " + "; ".join(problems))


def _order(graph: Graph) -> Iterator[str]:
    seen: set[str] = set()
    for name, node in graph.nodes.items():
        if name != node.name:
            yield f"{name} is stored under another name"
        yield from (f"{name} reads {i} before it is computed" for i in node.inputs if i not in seen)
        seen.add(name)
    yield from (f"output {out} has no node {name}" for out, name in graph.outputs.items() if name not in seen)


def _rules(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        rule = RULES.get(node.op)
        if rule is None:
            yield f"{node.name}: no rule for the operation {node.op}"
        else:
            yield from rule.problems(graph, node)


def _expressions(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        for part in () if node.expr is None else walk(node.expr):
            if isinstance(part, Arg) and not 0 <= part.index < len(node.inputs):
                yield f"{node.name} uses input {part.index} of {len(node.inputs)}"
            if isinstance(part, Call | Partial) and not is_function(part.function):
                yield f"{node.name} calls {part.function}, which is neither a kernel nor a function of a library"


def _modules(nodes: Iterable[Node]) -> Iterator[str]:
    """One name means one module: the printed program and the text form know it by its name alone."""
    first: dict[str, Build] = {}
    for node in nodes:
        for part in () if node.expr is None else walk(node.expr):
            if isinstance(part, Build) and first.setdefault(part.name, part) != part:
                yield f"{node.name} builds another module of the name {part.name}"


def _keys(graph: Graph) -> Iterator[str]:
    draws = (node for node in graph.nodes.values() if node.op != "Key")
    uses = Counter(i for node in draws for i in node.inputs if graph.nodes[i].op == "Key")
    yield from (f"random key {name} feeds {n} draws" for name, n in uses.items() if n > 1)
    keys = [node for node in graph.nodes.values() if node.op == "Key"]
    same = Counter((node.inputs, node.expr) for node in keys)
    yield from (
        f"random key {node.name} is not the only one of its kind" for node in keys if same[node.inputs, node.expr] > 1
    )


def _state(graph: Graph) -> Iterator[str]:
    if graph.role not in {*ROLES, ""}:
        yield f"{graph.role} is no role of a graph"
        return
    if not graph.role or not ROLES[graph.role].updates:
        return
    groups = [f"state.{group}" for group in graph.leaves("state.")]
    written = [output for output in graph.outputs if output.startswith("state.")]
    yield from (f"{output} is written but not part of the state" for output in written if output not in graph.nodes)
    yield from (f"{group} is part of the state but not written" for group in groups if group not in graph.outputs)


_CHECKS: tuple[Callable[[Graph], Iterator[str]], ...] = (
    _rules,
    _expressions,
    lambda graph: _modules(graph.nodes.values()),
    _keys,
    _state,
)
