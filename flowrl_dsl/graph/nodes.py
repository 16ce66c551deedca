"""The update graph: nodes with operations of the field, values with named axes, parameter groups with one writer each.

A graph is a topologically sorted list of nodes and a table of named outputs.  It is
immutable: passes return new graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowrl_dsl.axes import Axes, show
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.graph.expr import Expr

INPUT, GRAD, WHEN, STOP = "Input", "Grad", "When", "Stop"
"""Operations handled by the lowering; every other node is computed by its expression.

``Input``  a leaf: ``state.*``, ``batch.*``, ``hyper.*``, ``obs``, ``counter`` or ``key``.
``Grad``   inputs (loss, wrt): the gradient of the summed loss with respect to the value of wrt.
``When``   inputs (condition, n new values, n old values): the tuple of new values where the condition holds.
``Stop``   its input, as a constant: gradients do not pass.
"""


ENTRIES = "Entries"
"""Reading entries of dictionary observations: the only operation by which networks read a part of an observation."""

RAN = "ran."
"""``metric.ran.NAME`` is 1 if the stage that reports ``metric.NAME`` ran in this update, else 0, as is the metric then.

A metric without such a flag is reported in every update.
"""


@dataclass(frozen=True, slots=True)
class Type:
    """``dtype`` is f32, i32, u32, or ``tree`` for parameters, optimizer states and tuples of values."""

    axes: Axes = ()
    dtype: str = "f32"

    def __str__(self) -> str:
        return self.dtype if self.dtype == "tree" else self.dtype + show(self.axes)


TREE = Type(dtype="tree")
SCALAR = Type()


@dataclass(frozen=True, slots=True)
class Node:
    """One value.  ``name`` is unique in the graph and stable under passes; ``span`` is its line in the spec.

    ``chunk``: the maximum number of rows computed at once, if states are independent; it does not change the value.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    expr: Expr | None
    type: Type
    span: Span | None = field(compare=False, default=None)
    chunk: int | None = None


@dataclass(frozen=True)
class Role:
    """What a graph is for: the groups of its inputs (``state.*``, ``obs``) and outputs, and whether it updates the state.

    A graph that updates the state writes every group of the state that it reads.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    doc: str
    updates: bool = False


ROLES = {
    role.name: role
    for role in (
        Role("init", ("key",), ("state",), "A fresh state."),
        Role(
            "step",
            ("state", "batch", "hyper"),
            ("state", "metric", "feedback"),
            "One update of the state, with its metrics.",
            updates=True,
        ),
        Role(
            "rollout",
            ("state", "batch", "hyper"),
            ("batch", "state"),
            "Fields of the batches that are parts of a rollout, and what the next one is collected with.",
        ),
        Role(
            "act", ("state", "obs", "counter", "hyper"), ("action", "field"), "Actions; ``counter`` selects the random draw."
        ),
    )
}
"""The roles of the graphs of a program."""


@dataclass(frozen=True)
class Graph:
    """``nodes`` by name in topological order; ``outputs`` maps ``state.critic``, ``metric.critic_loss``, … to nodes.

    ``role`` names one of :data:`ROLES`; it is empty for a graph that is no function of a program.
    """

    name: str
    nodes: Mapping[str, Node]
    outputs: Mapping[str, str]
    role: str = ""

    def leaves(self, prefix: str) -> list[str]:
        """Names of the inputs that start with ``prefix``, without it: ``leaves("hyper.")``."""
        return [n.name.removeprefix(prefix) for n in self.nodes.values() if n.op == INPUT and n.name.startswith(prefix)]


def ancestors(graph: Graph, roots: Iterable[str], *, through: Iterable[str] | None = None) -> set[str]:
    """The roots and everything they are computed from; ``through`` limits the walk to those nodes."""
    allowed = None if through is None else set(through)
    seen: set[str] = set()
    stack = list(roots)
    while stack:
        name = stack.pop()
        if name in seen or (allowed is not None and name not in allowed):
            continue
        seen.add(name)
        stack.extend(graph.nodes[name].inputs)
    return seen


def region(graph: Graph, grad: Node) -> list[str]:
    """The nodes a gradient differentiates: computed from ``wrt`` other than through a Stop, and leading to the loss.

    In topological order, without ``wrt`` itself.
    """
    loss, wrt = grad.inputs
    dependent = {wrt}
    for node in graph.nodes.values():
        if node.op != STOP and any(i in dependent for i in node.inputs):
            dependent.add(node.name)
    leading = ancestors(graph, [loss], through=dependent)
    return [name for name in graph.nodes if name in leading and name != wrt]
