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


def sampled_with_paths(graph: Graph, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The outputs of a graph, and the noisy actions before each step of the sampler whose samples it draws.

    The noisy actions have the shape of the samples; there are none where no sampler takes steps.  A network that is asked
    several times in one step counts once, at the time where the step begins.
    """
    asked: Asked = []
    node = next(filter(_takes_steps, graph.nodes.values()), None)

    @jax.jit
    def run(inputs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        known, times = dict(inputs), None
        for one in graph.nodes.values():
            if one is node:
                known[one.name], times = _sample(one, [known[name] for name in one.inputs], asked)
            elif one.op != INPUT:
                known[one.name] = node_value(graph, one, known)
        return {output: known[name] for output, name in graph.outputs.items()}, times

    outputs, times = run(dict(inputs))
    jax.effects_barrier()
    return outputs, _steps(asked, times)


def _takes_steps(node: Node) -> bool:
    """Whether the node is sampled by a kernel whose first argument is a function: the network at fixed observations."""
    return (
        node.op == "Sample" and isinstance(node.expr, Call) and bool(node.expr.args) and isinstance(node.expr.args[0], Call)
    )


def _sample(node: Node, args: list[Any], asked: Asked) -> tuple[Any, Any]:
    """The value of the node, and the times of the steps, None for a chain that has no times."""
    expr: Any = node.expr
    field, *others = (evaluate(part, args) for part in expr.args)
    named = {name: evaluate(part, args) for name, part in expr.kwargs}
    return resolve(expr.function)(_noting(field, asked), *others, **named), named.get("times")


def _noting(field: Callable[..., Any], asked: Asked) -> Callable[..., Any]:
    def note(a: Any, t: Any) -> None:
        asked.append((float(np.ravel(t)[0]), np.array(a)))

    def noting(a: Any, t: Any) -> Any:
        # in the order of the steps; a callback, since inside of a loop there is no value to read
        jax.debug.callback(note, a, t, ordered=True)
        return field(a, t)

    return noting


def _steps(asked: Asked, times: Any) -> list[np.ndarray]:
    """The last point of each time at which a step begins; every point of a chain that has no times."""
    if times is None:
        return [a for _, a in asked]
    last: dict[int, np.ndarray] = {}
    for t, a in asked:
        near = np.flatnonzero(np.abs(np.asarray(times)[:-1] - t) < _SAME * max(1.0, abs(t)))
        last |= {int(k): a for k in near[:1]}
    return [last[k] for k in sorted(last)]
