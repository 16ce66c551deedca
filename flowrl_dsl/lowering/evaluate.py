"""Evaluating expressions, schedules and graphs with jax."""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flowrl_dsl.graph.expr import (
    Arg,
    Build,
    Call,
    Dictionary,
    Expand,
    Expr,
    Item,
    Literal,
    Partial,
    resolve,
)
from flowrl_dsl.graph.nodes import GRAD, INPUT, STOP, WHEN, Graph, Node, region
from flowrl_dsl.graph.pieces import in_pieces
from flowrl_dsl.lowering.schedule import Choose, Compute, Differentiate, InPieces, Step, new_values

Environment = MutableMapping[str, Any]


@functools.cache
def _built(build: Build) -> Any:
    return evaluate(build.call, ())


def evaluate(expr: Expr | None, args: Sequence[Any]) -> Any:
    """The value of an expression, given the values of the node's inputs; ``TypeError`` for a node without one."""
    match expr:
        case Arg(index):
            return args[index]
        case Literal(value):
            return value
        case Dictionary(items):
            return {key: evaluate(value, args) for key, value in items}
        case Call(function, positional, named):
            return resolve(function)(*_all(positional, args), **_named(named, args))
        case Partial(function, positional, named):
            return functools.partial(resolve(function), *_all(positional, args), **_named(named, args))
        case Build():
            return _built(expr)
        case Expand(value, pattern):
            return evaluate(value, args)[tuple(None if new else slice(None) for new in pattern)]
        case Item(value, key):
            return evaluate(value, args)[key]
    raise TypeError(f"not an expression: {expr!r}")


def _all(exprs: Sequence[Expr], args: Sequence[Any]) -> list[Any]:
    return [evaluate(expr, args) for expr in exprs]


def _named(items: Sequence[tuple[str, Expr]], args: Sequence[Any]) -> dict[str, Any]:
    return {key: evaluate(value, args) for key, value in items}


def _plain(node: Node, env: Mapping[str, Any]) -> Any:
    """The value of a node that is computed by its expression (or is a Stop)."""
    args = [env[i] for i in node.inputs]
    if node.op == STOP:
        return jax.lax.stop_gradient(args[0])
    assert node.expr is not None, f"{node.name} is computed by its expression"
    return evaluate(node.expr, args)


def run_schedule(steps: Sequence[Step], env: Environment) -> None:
    """Run a schedule, adding every value it computes to the environment."""
    for step in steps:
        match step:
            case Compute(node):
                env[node.name] = _plain(node, env)
            case Differentiate():
                _differentiate(step, env)
            case Choose():
                _choose(step, env)
            case InPieces():
                _in_pieces(step, env)


def _differentiate(step: Differentiate, env: Environment) -> None:
    def loss(wrt: Any) -> tuple[jax.Array, list[Any]]:
        inside = ChainMap({step.wrt: wrt}, env)
        run_schedule(step.body, inside)
        return jnp.sum(inside[step.loss]), [inside[name] for name in step.carried]

    gradient, carried = jax.grad(loss, has_aux=True)(env[step.wrt])
    env.update(zip(step.carried, carried, strict=True))
    env[step.node.name] = gradient


def _choose(step: Choose, env: Environment) -> None:
    def new() -> tuple[Any, ...]:
        inside = ChainMap({}, env)
        run_schedule(step.body, inside)
        return tuple(inside[name] for name in step.new)

    def old() -> tuple[Any, ...]:
        return tuple(env[name] for name in step.old)

    env[step.node.name] = jax.lax.cond(env[step.condition], new, old)


def _in_pieces(step: InPieces, env: Environment) -> None:
    reads, results = step.reads, step.results

    def piece(*values: Any) -> tuple[Any, ...]:
        inside = ChainMap(dict(zip(reads, values, strict=True)), env)
        run_schedule([step.step], inside)
        return tuple(inside[name] for name in results)

    found = in_pieces(piece, [env[name] for name in reads], step.axes(reads), step.axes(results), step.limit)
    env.update(zip(results, found, strict=True))


def interpret(graph: Graph, inputs: Mapping[str, Any], seen: Callable[[Node, Any], None] | None = None) -> dict[str, Any]:
    """The outputs of a graph, computed node by node in graph order, without schedule and without compilation.

    The slow reference for the compiled program: nodes are evaluated in order and each gradient re-evaluates its region.
    ``seen`` is called with every node and its value.
    """
    with jax.disable_jit():
        return node_by_node(graph, inputs, seen)


def node_by_node(graph: Graph, inputs: Mapping[str, Any], seen: Callable[[Node, Any], None] | None = None) -> dict[str, Any]:
    """As :func:`interpret`, but jax may compile the functions that nodes call.

    Conditions need concrete values.  Traced operations carry the names of their nodes as named scopes.
    """
    env: dict[str, Any] = dict(inputs)
    for node in graph.nodes.values():
        if node.op != INPUT:
            env[node.name] = node_value(graph, node, env)
            if seen is not None:
                seen(node, env[node.name])
    return {output: env[name] for output, name in graph.outputs.items()}


def node_value(graph: Graph, node: Node, env: Environment) -> Any:
    """The value of one node, given those of all nodes before it."""
    with jax.named_scope(node.name):
        return _value(graph, node, env)


def _value(graph: Graph, node: Node, env: Environment) -> Any:
    if node.op == WHEN:
        condition, *values = (env[i] for i in node.inputs)
        half = len(values) // 2
        assert half == len(new_values(node))
        return tuple(values[:half]) if bool(condition) else tuple(values[half:])
    if node.op == GRAD:
        return _interpret_gradient(graph, node, env)
    return _plain(node, env)


def _interpret_gradient(graph: Graph, node: Node, env: Environment) -> Any:
    loss, wrt = node.inputs
    inside = [graph.nodes[name] for name in region(graph, node)]

    def total(value: Any) -> jax.Array:
        local = ChainMap({wrt: value}, env)
        for part in inside:
            local[part.name] = node_value(graph, part, local)
        return jnp.sum(local[loss])

    return jax.grad(total)(env[wrt])
