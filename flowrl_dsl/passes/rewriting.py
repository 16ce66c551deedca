"""What passes share that change how nodes are computed and leave the graph as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flowrl_dsl.graph.expr import Build, Call, Expr, Literal, rewrite, walk
from flowrl_dsl.graph.nodes import Graph, Node


def rewrite_expressions(graph: Graph, change: Callable[[Node], Expr | None]) -> Graph:
    """The graph with ``change`` of each node as its expression."""
    return replace(graph, nodes={name: replace(node, expr=change(node)) for name, node in graph.nodes.items()})


def rebuilt(expr: Expr | None, option: str, old: object, new: object, suffix: str) -> Expr | None:
    """The expression with modules that are built with another value of one option.

    They, and modules made of them, get a name of their own by the suffix: elsewhere they may stay as they were.
    """

    def change(part: Expr) -> Expr:
        if not isinstance(part, Build):
            return part
        kwargs = tuple((k, Literal(new) if (k, v) == (option, Literal(old)) else v) for k, v in part.call.kwargs)
        inside = {b.name for _, value in kwargs for b in walk(value) if isinstance(b, Build)}
        changed = kwargs != part.call.kwargs or any(name.endswith(suffix) for name in inside)
        if not changed or part.name.endswith(suffix):
            return part
        return Build(part.name + suffix, Call(part.call.function, part.call.args, kwargs))

    return None if expr is None else rewrite(expr, change)
