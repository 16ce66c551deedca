"""The cost of a program: floating-point operations of its matrix products, parameters, memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def matrix_product_flops(function: Callable[..., Any], *examples: Any) -> int:
    """Floating-point operations in all matrix products of one call: 2 m n k each, multiplied by the trip count inside loops.

    A conditional counts as its most expensive branch.  ``examples`` are arrays or shapes.
    """
    return _count(jax.make_jaxpr(function)(*examples).jaxpr)


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: core.JaxprEqn) -> int:
    if equation.primitive.name == "dot_general":
        return _dot(equation)
    inner = [_count(sub) for sub in _inner(equation)]
    if not inner:
        return 0
    if equation.primitive.name == "scan":
        return equation.params["length"] * sum(inner)
    return max(inner) if equation.primitive.name == "cond" else sum(inner)


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    """The jaxprs nested in an equation: bodies of loops and branches, called functions."""
    found = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, core.Jaxpr):
                found.append(item)
    return found


def _dot(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
    return 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)


def _shape(atom: Any) -> tuple[int, ...]:
    return tuple(atom.aval.shape)


def host_callbacks(jaxpr: core.Jaxpr) -> list[str]:
    """Names of primitives that call back to the host from a compiled program; there must be none."""
    found = [e.primitive.name for e in jaxpr.eqns if "callback" in e.primitive.name or "infeed" in e.primitive.name]
    return found + [name for e in jaxpr.eqns for sub in _inner(e) for name in host_callbacks(sub)]


def count_parameters(tree: Any) -> int:
    """Total number of elements in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def count_bytes(tree: Any) -> int:
    """Total size in bytes of a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
