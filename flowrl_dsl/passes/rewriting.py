"""Shared by passes that rewrite the expressions of nodes and keep the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flowrl_dsl.graph.expr import Build, Call, Expr, as_variant, rewrite, walk
from flowrl_dsl.graph.nodes import Graph, Node


def rewrite_expressions(graph: Graph, change: Callable[[Node], Expr | None]) -> Graph:
    """The graph with ``change`` applied to the expression of each node."""
    return replace(graph, nodes={name: replace(node, expr=change(node)) for name, node in graph.nodes.items()})


def in_variant(expr: Expr | None, variant: str, value: Any = True) -> Expr | None:
    """The expression with every call in a variant of its kernel, where that has one."""

    def change(part: Expr) -> Expr:
        return as_variant(part, variant, value) if isinstance(part, Call) else part

    return None if expr is None else rewrite(expr, change)


def rebuilt(expr: Expr | None, change: Callable[[Call], Call], suffix: str) -> Expr | None:
    """The expression with ``change`` of the calls that build modules.

    Changed modules, and modules that contain them, are renamed by the suffix, as the originals may remain elsewhere.
    """

    new: set[str] = set()

    def renamed(part: Expr) -> Expr:
        if not isinstance(part, Build):
            return part
        built = change(part.call)
        inside = {b.name for _, value in built.kwargs for b in walk(value) if isinstance(b, Build)}
        if built == part.call and not inside & new:
            return part
        new.add(part.name + suffix)
        return Build(part.name + suffix, built)

    return None if expr is None else rewrite(expr, renamed)
