"""The way from noise to action: the points at which a sampler asks its network while it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from flowrl_dsl.graph.expr import Call, resolve
from flowrl_dsl.graph.nodes import INPUT, Graph, Node
from flowrl_dsl.lowering.evaluate import evaluate, node_value

Asked = list[tuple[float, np.ndarray]]
_SAME = 1e-6
"""Difference of two times that are the same."""


def interpret_with_paths(graph: Graph, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The outputs of a graph, and the noisy actions before each step of the sampler whose samples it draws.

    The noisy actions have the shape of the samples; there are none where no sampler takes steps.  A network that is asked
    several times in one step counts once, at the time where the step begins.
    """
    found: list[np.ndarray] = []
    known: dict[str, Any] = dict(inputs)
    with jax.disable_jit():
        for node in graph.nodes.values():
            if _takes_steps(node):
                known[node.name], steps = _sample(node, [known[name] for name in node.inputs])
                found = found or steps
            elif node.op != INPUT:
                known[node.name] = node_value(graph, node, known)
    return {output: known[name] for output, name in graph.outputs.items()}, found


def _takes_steps(node: Node) -> bool:
    """Whether the node is sampled by a kernel whose first argument is a function: the network at fixed observations."""
    return node.op == "Sample" and isinstance(node.expr, Call) and bool(node.expr.args) and isinstance(node.expr.args[0], Call)


def _sample(node: Node, args: list[Any]) -> tuple[Any, list[np.ndarray]]:
    expr: Any = node.expr
    asked: Asked = []
    field, *others = (evaluate(part, args) for part in expr.args)
    named = {name: evaluate(part, args) for name, part in expr.kwargs}
    value = resolve(expr.function)(_noting(field, asked), *others, **named)
    jax.effects_barrier()
    return value, _steps(asked, named.get("times"))


def _noting(field: Callable[..., Any], asked: Asked) -> Callable[..., Any]:
    def note(a: Any, t: Any) -> None:
        asked.append((float(np.ravel(t)[0]), np.array(a)))

    def noting(a: Any, t: Any) -> Any:
        # a callback, because an energy is differentiated and its argument has no value to read
        jax.debug.callback(note, a, t)
        return field(a, t)

    return noting


def _steps(asked: Asked, times: Any) -> list[np.ndarray]:
    """The last point of each time at which a step begins; every point of a chain that has no times."""
    if times is None:
        return [a for _, a in asked]
    last: dict[int, np.ndarray] = {}
    for t, a in asked:
        near = np.flatnonzero(np.abs(np.asarray(times) - t) < _SAME * max(1.0, abs(t)))
        last |= {int(k): a for k in near[:1]}
    return [last[k] for k in sorted(last)]
