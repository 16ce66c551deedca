"""The rule of each operation: its number of inputs, whether it has an expression, and its type given those of the inputs.

:data:`RULES` has one entry per operation, so no operation is without a rule: a new one is a new line of the
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flowrl_dsl.axes import Axes, show, union, without
from flowrl_dsl.graph.expr import Arg, Item
from flowrl_dsl.graph.nodes import ENTRIES, GRAD, INPUT, SCALAR, STOP, TREE, WHEN, Graph, Node, Type, region

Law = Callable[[Graph, Node], Iterator[str]]
"""What is wrong with a node whose inputs exist and are as many as its rule says, each as the end of a sentence."""


def _read(graph: Graph, node: Node) -> list[Type]:
    return [graph.nodes[i].type for i in node.inputs]


def _expected(node: Node, type: Type, reason: str) -> Iterator[str]:
    if node.type != type:
        yield f"is {node.type}, but {reason} {type}"


def as_input(index: int) -> Law:
    """The type is that of one input."""

    def law(graph: Graph, node: Node) -> Iterator[str]:
        yield from _expected(node, _read(graph, node)[index], f"input {index} is")

    return law


def always(type: Type) -> Law:
    """The type is the same for all nodes of the operation."""

    def law(graph: Graph, node: Node) -> Iterator[str]:
        yield from _expected(node, type, f"{node.op} gives")

    return law


def anything(graph: Graph, node: Node) -> Iterator[str]:
    """The kernel alone determines the type."""
    return iter(())


def broadcast(graph: Graph, node: Node) -> Iterator[str]:
    """Arrays broadcast by the names of their axes: the result has all of them.  Trees have no axes to compare."""
    read = _read(graph, node)
    if TREE not in read:
        full = union(*(type.axes for type in read))
        if node.type.axes != full:
            yield f"has axes {show(node.type.axes)}, but its inputs together have {show(full)}"


def reduced(graph: Graph, node: Node) -> Iterator[str]:
    """No axis that the inputs do not have."""
    read = _read(graph, node)
    new = _new_axes(node, read)
    if TREE not in read and new:
        yield f"has axes {show(new)} that no input has"


def _new_axes(node: Node, read: list[Type]) -> Axes:
    return tuple(axis for axis in node.type.axes if not any(axis in type.axes for type in read))


def enlarged(graph: Graph, node: Node) -> Iterator[str]:
    """All axes of the first input, and others."""
    lost = [axis for axis in _read(graph, node)[0].axes if axis not in node.type.axes]
    if lost:
        yield f"lacks axes {show(lost)} of input 0"


def _rows(types: Iterable[Type]) -> Axes:
    """The axes along which networks are applied to each entry by itself."""
    return without(union(*(type.axes for type in types)), "ensemble", "obs", "action")


def row_by_row(graph: Graph, node: Node) -> Iterator[str]:
    """One result for each row of the arrays among the inputs; where all are trees, their rows are unknown."""
    arrays = [type for type in _read(graph, node) if type.axes]
    if arrays and node.type != TREE and _rows([node.type]) != _rows(arrays):
        yield f"has rows {show(_rows([node.type]))}, but its inputs have {show(_rows(arrays))}"


def at_least_row_by_row(graph: Graph, node: Node) -> Iterator[str]:
    """One or several results for each row of the arrays among the inputs."""
    lost = [axis for axis in _rows(_read(graph, node)) if axis not in node.type.axes]
    if node.type != TREE and lost:
        yield f"lacks axes {show(lost)} of its inputs"


def by_member(graph: Graph, node: Node) -> Iterator[str]:
    """A number for each row and each member of an ensemble."""
    if "ensemble" not in node.type.axes or "action" in node.type.axes:
        yield f"has axes {show(node.type.axes)}, but action values are [ensemble, ...] without an axis action"
    yield from row_by_row(graph, node)


def density(graph: Graph, node: Node) -> Iterator[str]:
    """A number for each row."""
    if "action" in node.type.axes:
        yield "has an axis action, but an action has one density"
    yield from row_by_row(graph, node)


def number(graph: Graph, node: Node) -> Iterator[str]:
    """A single number of any dtype."""
    if node.type.axes or node.type == TREE:
        yield f"is {node.type}, but {node.op} gives a single number"


def constant(graph: Graph, node: Node) -> Iterator[str]:
    """A single number, one for each denoising step, or as many as an input contains."""
    if node.inputs:
        yield from as_input(0)(graph, node)
    elif node.type.axes != ("denoise",):
        yield from number(graph, node)


def loss(graph: Graph, node: Node) -> Iterator[str]:
    """One number, alone or with what is kept for the next update."""
    if node.type not in (SCALAR, TREE):
        yield f"is {node.type}, but a loss is one number"


def item(graph: Graph, node: Node) -> Iterator[str]:
    """A part of its input, by name or place."""
    if not isinstance(node.expr, Item) or node.expr.value != Arg(0):
        yield "needs an expression $0[key]"
    if _read(graph, node)[0] != TREE:
        yield f"takes a part of {node.inputs[0]}, which is no tuple or dictionary"


def gradient(graph: Graph, node: Node) -> Iterator[str]:
    """Of a loss that depends on the value it is taken with respect to, and of the type of that value."""
    if not region(graph, node):
        yield f"is the gradient of {node.inputs[0]}, which does not depend on {node.inputs[1]}"
    yield from as_input(1)(graph, node)


def condition(graph: Graph, node: Node) -> Iterator[str]:
    """A condition, new values and as many old values of the same types; a tuple."""
    values = _read(graph, node)[1:]
    half = len(values) // 2
    if len(values) % 2:
        yield "needs a condition, new values and as many old values"
    for new, old, name in zip(values[:half], values[half:], node.inputs[1:], strict=False):
        if new != old and len(values) % 2 == 0:
            yield f"replaces {name}, which is {new}, by an old value that is {old}"
    yield from always(TREE)(graph, node)


def step(graph: Graph, node: Node) -> Iterator[str]:
    """Of parameters along a gradient taken with respect to them."""
    parameters, given = node.inputs[0], graph.nodes[node.inputs[1]]
    if given.op != GRAD or given.inputs[1] != parameters:
        yield f"changes {parameters} by a gradient that is not taken with respect to it"
    yield from always(TREE)(graph, node)


@dataclass(frozen=True)
class Rule:
    """``least`` and ``most`` inputs (None: any number), a ``law`` of types; ``computed`` nodes have an expression."""

    least: int
    most: int | None
    law: Law = anything
    computed: bool = True

    def problems(self, graph: Graph, node: Node) -> Iterator[str]:
        """Each violation as a sentence that begins with the node's name."""
        if self.computed == (node.expr is None):
            yield f"{node.name}: {node.op} {'needs an' if self.computed else 'takes no'} expression"
        if len(node.inputs) < self.least or (self.most is not None and len(node.inputs) > self.most):
            yield f"{node.name}: {node.op} takes {self.arity} inputs, not {len(node.inputs)}"
        else:
            yield from (f"{node.name} {problem}" for problem in self.law(graph, node))

    @property
    def arity(self) -> str:
        """The number of inputs in words: ``2``, ``1 to 2``, ``3 or more``."""
        if self.most is None:
            return f"{self.least} or more"
        return str(self.least) if self.most == self.least else f"{self.least} to {self.most}"


RULES: dict[str, Rule] = {
    INPUT: Rule(0, 0, computed=False),
    GRAD: Rule(2, 2, gradient, computed=False),
    WHEN: Rule(3, None, condition, computed=False),
    STOP: Rule(1, 1, as_input(0), computed=False),
    "Item": Rule(1, 1, item),
    "Key": Rule(1, 2, always(Type(dtype="u32"))),
    "Init": Rule(0, None),
    "GradientStep": Rule(3, None, step),
    "EMA": Rule(2, None, as_input(0)),
    "Constant": Rule(0, 1, constant),
    "Arithmetic": Rule(0, None, broadcast),
    "Reduce": Rule(1, None, reduced),
    "Broadcast": Rule(2, 2, enlarged),
    "Select": Rule(1, None),
    "Concat": Rule(1, None, as_input(0)),
    "Subset": Rule(2, 2, as_input(1)),
    "Weights": Rule(1, None),
    "MeanShift": Rule(3, 3, reduced),
    "Noise": Rule(1, None, at_least_row_by_row),
    "Sample": Rule(1, None, at_least_row_by_row),
    "Diffuse": Rule(3, None, broadcast),
    "NoiseSchedule": Rule(1, 1, as_input(0)),
    "Predict": Rule(1, None, row_by_row),
    "LogProb": Rule(1, None, density),
    ENTRIES: Rule(1, 1, as_input(0)),
    "Embed": Rule(2, None, row_by_row),
    "QValue": Rule(1, None, by_member),
    "Return": Rule(2, 4, reduced),
    "Advantages": Rule(7, 7, always(TREE)),
    "TDTarget": Rule(1, None),
    "Loss": Rule(1, None, loss),
    "Estimate": Rule(1, None, always(SCALAR)),
    "Schedule": Rule(1, None, always(SCALAR)),
    "Every": Rule(1, 1, always(Type(dtype="bool"))),
    "Finite": Rule(1, None, number),
    "Moments": Rule(2, 2, as_input(0)),
    "Normalize": Rule(2, 2, as_input(0)),
}
"""The legality of a node, by operation."""
