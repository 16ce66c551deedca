"""Symmetries of a program: permutations of the rows of a batch and of drawn actions, and shifts of Q.

Random draws are tied to positions, so a permuted batch alone would be paired with different noise.  Here the bits of every
draw are permuted with the batch; the values of a step must then be permuted accordingly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from flowrl_dsl.axes import MANY_ACTIONS, union
from flowrl_dsl.graph.expr import Call, Literal
from flowrl_dsl.graph.nodes import INPUT, Node
from flowrl_dsl.testing.traced import Draw
from flowrl_dsl.testing.trees import distance, furthest, unlike
from flowrl_dsl.testing.trials import Trial
from flowrl_dsl.testing.values import MORE

ROWS = ("batch", "state", *MANY_ACTIONS)
"""Axes along which a step draws anew for each entry."""
PERMUTED = ("batch", *MANY_ACTIONS)
_NAME = re.compile(r"[^/()]+")


def check_permutations(trial: Trial) -> None:
    """Permuting batch rows, particles or reverse samples permutes the values and keeps sums, losses and the new state.

    Node by node, every value with the axis must be permuted, and every value without it unchanged.  Exempt are values
    measured on the first few rows of a batch, values sensitive to rounding, and values computed from these.
    """
    for axis in PERMUTED:
        lengths = {np.shape(trial.interpreted[n.name])[n.type.axes.index(axis)] for n in _with_axis(trial, axis)}
        if max(lengths, default=1) > 1:
            _check_permuted(trial, axis)
            trial.did[f"permuted {axis}"] += 1


def _with_axis(trial: Trial, axis: str) -> list[Node]:
    return [node for node in trial.graph.nodes.values() if axis in node.type.axes]


def _check_permuted(trial: Trial, axis: str) -> None:
    original = trial.interpreted
    batch = {name: np.roll(rows, 1, axis=0) for name, rows in trial.batch.items()} if axis == "batch" else trial.batch
    orders = _orders(trial, axis)
    permuted = trial.values(batch, draw=_Permuted(trial, axis, orders))
    excused: set[str] = set()
    for node in trial.graph.nodes.values():
        if _by_place(trial, node, axis) or not excused.isdisjoint(node.inputs):
            excused.add(node.name)
        elif node.type.dtype != "tree" and node.op != INPUT:
            x, y = np.asarray(original[node.name]), np.asarray(permuted[node.name])
            expected = np.take(x, orders[node.name], node.type.axes.index(axis)) if node.name in orders else x
            difference = unlike(expected, y)
            if difference and _decided_by_rounding(trial, node, distance(expected, y)):
                excused.add(node.name)
                difference = ""
            assert not difference, f"{node.name} is not that of another order of {axis}: {difference}\n{expected}\n{y}"


def _orders(trial: Trial, axis: str) -> dict[str, np.ndarray]:
    """The indices of the rows that the permuted step has in each place, for every node with the axis.

    The rows of a draw are rolled by one, and each part of a concatenation on its own.
    """
    orders: dict[str, np.ndarray] = {}
    for node in _with_axis(trial, axis):
        length = np.shape(trial.interpreted[node.name])[node.type.axes.index(axis)]
        known = [orders[name] for name in node.inputs if name in orders]
        same = [order for order in known if len(order) == length]
        if node.op == "Concat" and sum(map(len, known)) == length:
            starts = np.cumsum([0, *map(len, known[:-1])])
            orders[node.name] = np.concatenate([start + order for start, order in zip(starts, known, strict=True)])
        else:
            orders[node.name] = same[0] if same else np.roll(np.arange(length), 1)
    return orders


def _decided_by_rounding(trial: Trial, node: Node, difference: float) -> bool:
    """Whether rounding alone changes the node by as much, for example in a choice between equal values."""
    moved = furthest(trial.interpreted[node.name], (other.interpreted[node.name] for other in trial.shaken))
    decided = difference <= MORE * moved
    trial.did["decided by rounding"] += decided
    return decided


def _by_place(trial: Trial, node: Node, axis: str) -> bool:
    """Whether the node is declared to depend on the order of its rows: it takes the first ones, or fits them in turn."""
    takes_first = axis == "batch" and "state" in node.type.axes and node.op == "Select"
    return takes_first or node.op == "Estimate"


class _Permuted:
    """Permutes the bits of each draw along an axis of its node, if the draw has one row for each entry."""

    def __init__(self, trial: Trial, axis: str, orders: Mapping[str, np.ndarray]):
        self.trial = trial
        self.axis = axis
        self.orders = orders
        self.near = {node.name: self._near(node) for node in trial.graph.nodes.values()}

    def _near(self, node: Node) -> list[Node]:
        """The node, its inputs and its items, those that have axes."""
        nodes = self.trial.graph.nodes
        items = [part for part in nodes.values() if part.op == "Item" and part.inputs[0] == node.name]
        return [part for part in (node, *(nodes[name] for name in node.inputs), *items) if part.type.axes]

    def _rows_of(self, name: str) -> dict[str, int]:
        """The row axes of a node's value, inputs and items, with their lengths, in order."""
        lengths = {
            axis: length
            for part in self.near[name]
            for axis, length in zip(part.type.axes, np.shape(self.trial.interpreted[part.name]), strict=True)
        }
        return {axis: lengths[axis] for axis in union(lengths) if axis in ROWS}

    def __call__(self, shape: tuple[int, ...], scope: str, drawn: np.ndarray) -> np.ndarray:
        known = [name for found in _NAME.findall(scope) if (name := found.removesuffix(".plain")) in self.near]
        rows = self._rows_of(known[-1]) if known else {}
        fits = len(shape) >= len(rows) and all(n == length for n, length in zip(shape, rows.values(), strict=False))
        if self.axis not in rows or not fits:
            return drawn
        found = (self.orders[part.name] for part in self.near[known[-1]] if part.name in self.orders)
        order = next(order for order in found if len(order) == rows[self.axis])
        return np.take(drawn, order, axis=drawn.ndim - len(shape) + list(rows).index(self.axis))


_ONLY_DIFFERENCES = ("jax.nn.softmax", "jax.nn.log_softmax", "best", "rank", "simplex_linear", "simplex_square")
"""Functions along an axis that depend only on differences: the values of x + c are those of x."""
_ONLY_ORDER = ("best", "rank")
"""Functions along an axis that depend only on the order: the values of k x + c, k positive, are those of x."""
SCALE, SHIFT = 4.0, 0.5


def check_shifted_values(trial: Trial) -> None:
    """Weights that use only differences are invariant to shifts of Q; those that use only the order, also to scaling.

    Only weights whose argument transforms with Q are checked.
    """
    for scale, functions in ((1.0, _ONLY_DIFFERENCES), (SCALE, _ONLY_ORDER)):
        nodes = [node for node in trial.graph.nodes.values() if _function(node) in functions]
        if not nodes:
            continue
        moved = trial.values(q_scale=scale, q_shift=SHIFT)
        for node in nodes:
            if _moves_along(node, trial.interpreted[node.inputs[0]], moved[node.inputs[0]], scale):
                difference = unlike(trial.interpreted[node.name], moved[node.name])
                assert not difference, f"{node.name} changes with {scale} Q + {SHIFT}: {difference}"
                trial.did["weights of moved Q"] += 1


def _function(node: Node) -> str:
    return node.expr.function if node.op == "Weights" and isinstance(node.expr, Call) else ""


def _moves_along(node: Node, before: np.ndarray, after: np.ndarray, scale: float) -> bool:
    """Whether the argument is ``scale`` times its old value, plus a constant along the axis of the weights."""
    assert isinstance(node.expr, Call)
    axis = next(part.value for key, part in node.expr.kwargs if key == "axis" and isinstance(part, Literal))
    rest = np.asarray(after, float) - scale * np.asarray(before, float)
    size = np.abs(before).max(initial=1.0)
    return bool(
        np.ptp(rest, axis=axis).max(initial=0.0) <= 1e-5 * scale * size and np.abs(after - before).max(initial=0.0) > 0
    )


__all__ = ["Draw", "check_permutations", "check_shifted_values"]
