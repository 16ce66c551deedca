"""Cheap exact activations.

before   mish(x) = x tanh(log(1 + exp(x)))                        three functions for each number
after    mish(x) = x (e^2 + 2e)/(e^2 + 2e + 2), e = exp(x)        one

The same function, to within the rounding of float32.  Kernels that build networks declare which of their options names the
activation function (variant ``activation``), and functions their cheap variant.
"""

from __future__ import annotations

from flowrl_dsl.graph.expr import Call, Expr, Literal, variants
from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.passes.rewriting import rebuilt, rewrite_expressions


def cheap_activations(graph: Graph) -> Graph:
    """The graph whose networks use the cheap variants of their activation functions."""
    return rewrite_expressions(graph, lambda node: rebuilt(node.expr, _cheap, "_quick"))


def _cheap(call: Call) -> Call:
    """The call that builds a network with the cheap variant of its activation function, if it has one."""
    activation = variants(call.function).get("activation")
    if activation is None:
        return call
    return Call(call.function, call.args, tuple((k, _variant(v) if k == activation.option else v) for k, v in call.kwargs))


def _variant(name: Expr) -> Expr:
    cheap = variants(name.value).get("cheap") if isinstance(name, Literal) else None
    return name if cheap is None else Literal(cheap.function)
