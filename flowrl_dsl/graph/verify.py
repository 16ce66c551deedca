"""What every update graph must satisfy; checked before and after the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flowrl_dsl.graph.expr import Arg, Expr, children
from flowrl_dsl.graph.nodes import GRAD, INPUT, ROLES, STOP, WHEN, Graph, Node, region


class GraphError(Exception):
    """A graph broke an invariant: a mistake of a component or of a pass, never of a spec."""


def verify(graph: Graph) -> None:
    """Raise :class:`GraphError` naming every broken invariant.

    Nodes follow their inputs; expressions use inputs that exist; a random key feeds one draw; a gradient has something
    to differentiate; a condition has an old value for each new one; an optimizer step changes the parameters its gradient
    belongs to; a step writes every group of the state it reads, and no other.
    """
    checks = (_order, _expressions, _keys, _gradients, _conditions, _steps, _state)
    problems = [problem for check in checks for problem in check(graph)]
    if problems:
        raise GraphError(f"graph {graph.name}: " + "; ".join(problems))


def _order(graph: Graph) -> Iterator[str]:
    seen: set[str] = set()
    for name, node in graph.nodes.items():
        if name != node.name:
            yield f"{name} is stored under another name"
        yield from (f"{name} reads {i} before it is computed" for i in node.inputs if i not in seen)
        seen.add(name)
    yield from (f"output {out} has no node {name}" for out, name in graph.outputs.items() if name not in seen)


def _expressions(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        special = node.op in (INPUT, GRAD, WHEN, STOP)
        if special != (node.expr is None):
            yield f"{node.name}: {node.op} {'takes no' if special else 'needs an'} expression"
        elif node.expr is not None:
            yield from _arguments(node, node.expr)


def _arguments(node: Node, expr: Expr) -> Iterator[str]:
    if isinstance(expr, Arg) and not 0 <= expr.index < len(node.inputs):
        yield f"{node.name} uses input {expr.index} of {len(node.inputs)}"
    for child in children(expr):
        yield from _arguments(node, child)


def _keys(graph: Graph) -> Iterator[str]:
    draws = (node for node in graph.nodes.values() if node.op != "Key")
    uses = Counter(i for node in draws for i in node.inputs if graph.nodes[i].op == "Key")
    yield from (f"random key {name} feeds {n} draws" for name, n in uses.items() if n > 1)
    keys = [node for node in graph.nodes.values() if node.op == "Key"]
    same = Counter((node.inputs, node.expr) for node in keys)
    yield from (
        f"random key {node.name} is not the only one of its kind" for node in keys if same[node.inputs, node.expr] > 1
    )


def _gradients(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if node.op == GRAD and not region(graph, node):
            yield f"{node.name}: {node.inputs[0]} does not depend on {node.inputs[1]}"


def _conditions(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if node.op == WHEN and (len(node.inputs) < 3 or len(node.inputs) % 2 == 0):
            yield f"{node.name} needs a condition, new values and as many old values"


def _steps(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if node.op != "GradientStep":
            continue
        parameters, gradient = node.inputs[0], graph.nodes[node.inputs[1]]
        if gradient.op != GRAD or gradient.inputs[1] != parameters:
            yield f"{node.name} changes {parameters} by a gradient that is not taken with respect to it"


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
