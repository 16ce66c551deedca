"""Building graphs: nodes get unique, stable names; values broadcast by the names of their axes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flowrl_dsl.axes import Axes, union, without
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.graph.expr import Arg, Call, Expand, Expr, Item, Literal, call
from flowrl_dsl.graph.nodes import GRAD, INPUT, SCALAR, STOP, TREE, WHEN, Graph, Node, Type


def expansion(axes: Axes, full: Axes) -> tuple[bool, ...]:
    """Where axes must be inserted so that a value with ``axes`` broadcasts against ``full`` (leading ones need not be)."""
    pattern = [axis not in axes for axis in full]
    while pattern and pattern[0]:
        pattern.pop(0)
    return tuple(pattern)


def aligned(index: int, axes: Axes, full: Axes) -> Expr:
    """Input number ``index``, ready to broadcast against ``full``."""
    pattern = expansion(axes, full)
    return Expand(Arg(index), pattern) if any(pattern) else Arg(index)


@dataclass(frozen=True)
class Value:
    """A handle of a node for the code that builds on it."""

    name: str
    type: Type

    @property
    def axes(self) -> Axes:
        return self.type.axes


@dataclass
class Builder:
    """Collects the nodes of one graph.

    ``scope`` prefixes names, ``at`` sets the line of the spec of the following nodes.
    """

    graph_name: str
    role: str = ""
    nodes: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    _scope: str = ""
    _span: Span | None = None

    @contextmanager
    def scope(self, name: str, span: Span | None = None) -> Iterator[None]:
        before = self._scope, self._span
        self._scope = f"{self._scope}{name}."
        self._span = span or self._span
        try:
            yield
        finally:
            self._scope, self._span = before

    @contextmanager
    def at(self, span: Span | None) -> Iterator[None]:
        before = self._span
        self._span = span or self._span
        try:
            yield
        finally:
            self._span = before

    def add(self, op: str, expr: Expr | None, inputs: Sequence[Value], type: Type = SCALAR, name: str = "") -> Value:
        """A new node; ``name`` is used unchanged if it is free, else numbered."""
        unique = self._unique(self._scope + (name or op.lower()))
        self.nodes[unique] = Node(unique, op, tuple(v.name for v in inputs), expr, type, self._span)
        return Value(unique, type)

    def _unique(self, name: str) -> str:
        if name not in self.nodes:
            return name
        number = 2
        while f"{name}_{number}" in self.nodes:
            number += 1
        return f"{name}_{number}"

    def input(self, name: str, type: Type) -> Value:
        """A leaf, shared by all its users."""
        if name not in self.nodes:
            self.nodes[name] = Node(name, INPUT, (), None, type)
        return Value(name, self.nodes[name].type)

    def output(self, name: str, value: Value) -> None:
        self.outputs[name] = value.name

    def constant(self, value: float, name: str = "constant") -> Value:
        return self.add("Constant", Literal(value), (), SCALAR, name)

    def elementwise(self, function: str, *values: Value, name: str = "", op: str = "Arithmetic") -> Value:
        """``function`` of values that broadcast by axis name."""
        full = union(*(v.axes for v in values))
        args = tuple(aligned(i, v.axes, full) for i, v in enumerate(values))
        return self.add(op, Call(function, args), values, Type(full), name or function.rsplit(".", 1)[-1])

    def reduce(self, function: Callable[..., Any] | str, value: Value, over: Axes, name: str = "") -> Value:
        """A reduction that removes the axes ``over``."""
        positions = tuple(value.axes.index(axis) for axis in over)
        axis = positions[0] if len(positions) == 1 else positions
        expr = call(function, Arg(0), axis=axis) if positions != tuple(range(len(value.axes))) else call(function, Arg(0))
        return self.add("Reduce", expr, (value,), Type(without(value.axes, *over)), name or expr.function.rsplit(".", 1)[-1])

    def stop(self, value: Value, name: str = "") -> Value:
        return self.add(STOP, None, (value,), value.type, name or value.name.rsplit(".", 1)[-1] + "_constant")

    def item(self, value: Value, key: int | str, type: Type, name: str = "item") -> Value:
        return self.add("Item", Item(Arg(0), key), (value,), type, name)

    def grad(self, loss: Value, wrt: Value, name: str) -> Value:
        """The gradient of the summed loss with respect to the value of ``wrt``; the loss itself remains available."""
        return self.add(GRAD, None, (loss, wrt), wrt.type, name)

    def depends(self, value: Value, on: Value) -> bool:
        """Whether a change of ``on`` can reach the value other than through a Stop."""
        dependent = {on.name}
        for node in self.nodes.values():
            if node.op != STOP and any(i in dependent for i in node.inputs):
                dependent.add(node.name)
        return value.name in dependent

    def when(self, condition: Value, new: Sequence[Value], old: Sequence[Value], name: str) -> list[Value]:
        """The new values if the condition holds, else the old ones, without computing nodes only the new ones need."""
        chosen = self.add(WHEN, None, (condition, *new, *old), TREE, name)
        return [self.item(chosen, i, v.type, f"{name}_{v.name.rsplit('.', 1)[-1]}") for i, v in enumerate(new)]

    def key(self, parent: Value, name: str) -> Value:
        """A separate random key for the draw ``name``: it depends only on the parent key and the full name.

        Adding, removing or reordering other nodes never changes a draw, and two names never share one.
        """
        full = self._unique(f"{self._scope}{name}.key")
        expr = call("jax.random.fold_in", Arg(0), zlib.crc32(full.encode()) & 0x7FFFFFFF)
        self.nodes[full] = Node(full, "Key", (parent.name,), expr, Type(dtype="u32"), self._span)
        return Value(full, Type(dtype="u32"))

    def finish(self) -> Graph:
        return Graph(self.graph_name, dict(self.nodes), dict(self.outputs), self.role)
