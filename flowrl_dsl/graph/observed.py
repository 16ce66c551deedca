"""What a graph that acts reads of its observations, where these consist of entries."""

from __future__ import annotations

from flowrl_dsl.graph.expr import Call, Literal
from flowrl_dsl.graph.nodes import ENTRIES, Graph, Node

_OF_ITS_SHAPE = frozenset({"Noise", "Broadcast"})
"""Operations that read of an observation how many there are, and no number."""


def ranges_read(graph: Graph, size: int) -> tuple[tuple[int, int], ...]:
    """The components (start, end) of the observations ``obs`` [batch, size] on which the outputs depend, in order.

    All of them where anything but networks of entries reads one.
    """
    whole, read = {"obs"}, set()
    for node in graph.nodes.values():
        if whole.isdisjoint(node.inputs) or node.op in _OF_ITS_SHAPE:
            continue
        if node.op == "Normalize":
            whole.add(node.name)
        else:
            read |= {at for start, end in _ranges(node, size) for at in range(start, end)}
    starts = sorted(at for at in read if at - 1 not in read)
    ends = sorted(at + 1 for at in read if at + 1 not in read)
    return tuple(zip(starts, ends, strict=True))


def _ranges(node: Node, size: int) -> tuple[tuple[int, int], ...]:
    if node.op != ENTRIES or not isinstance(node.expr, Call) or not isinstance(node.expr.args[1], Literal):
        return ((0, size),)
    found: tuple[tuple[int, int], ...] = node.expr.args[1].value
    return found
