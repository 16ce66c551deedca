"""Calls of the standard library: the well-typed signatures, and those that are finite everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from flowrl_dsl.axes import AXES, Axes
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.formula import Formula, Slot
from flowrl_dsl.spec import stdlib, typecheck
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse_expression


@dataclass(frozen=True)
class Signature:
    """One way to call a definition: the axes of its arguments and of its result."""

    name: str
    arguments: tuple[Axes, ...]
    axes: Axes


_SHAPES: tuple[Axes, ...] = ((), ("batch",), ("batch", "particle"), ("ensemble", "batch"), ("batch", "action"))


@cache
def library() -> tuple[Signature, ...]:
    """The well-typed signatures of the standard library: equal axes for all arguments, or scalars after the first one."""
    found: dict[Signature, None] = {}
    for name, define in stdlib.definitions().items():
        for first, others_alike in itertools.product(_SHAPES, (False, True)):
            arguments = (first, *[first if others_alike else ()] * (len(define.parameters) - 1))
            formula = _checked(name, arguments)
            if formula is not None:
                found.setdefault(Signature(name, arguments, formula.term.axes))
    return tuple(found)


def _checked(name: str, arguments: tuple[Axes, ...]) -> Formula | None:
    """The typed call of a definition on values ``x0, x1, ...``, or None if it is not well typed."""
    names = [f"x{i}" for i in range(len(arguments))]
    expr, _ = parse_expression(f"{name}({', '.join(names)})", "probe")
    scope = Scope(Diagnostics(), defines=dict(stdlib.definitions()), library=stdlib.LIBRARY)
    slot = Slot(result=tuple(AXES), values=dict(zip(names, arguments, strict=True)))
    assert isinstance(expr, tree.Call)
    return typecheck.check(expr, slot, scope, Site("probe", Span("probe", 1, 1, 1, 1)))


@cache
def is_total(signature: Signature) -> bool:
    """Whether value and gradient are finite where values with axes are all 0, all 30, or all different."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from flowrl_dsl.graph.builder import Builder
    from flowrl_dsl.graph.formulas import FormulaBuilder
    from flowrl_dsl.graph.nodes import Type
    from flowrl_dsl.lowering.evaluate import interpret

    formula = _checked(signature.name, signature.arguments)
    assert formula is not None
    builder = Builder("probe")
    values = {f"x{i}": builder.input(f"x{i}", Type(axes)) for i, axes in enumerate(signature.arguments)}
    builder.output("y", FormulaBuilder(builder, values, {}).build(formula, "y"))
    graph = builder.finish()

    def total(inputs: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.sum(interpret(graph, inputs)["y"])

    shapes = {f"x{i}": (2,) * len(axes) for i, axes in enumerate(signature.arguments)}
    for fill in (np.zeros, lambda n: np.full(n, 30.0), lambda n: np.arange(n) - 1.7):
        inputs = {
            key: jnp.asarray(fill(int(np.prod(shape))).reshape(shape) if shape else 0.5, "float32")
            for key, shape in shapes.items()
        }
        value, gradient = jax.value_and_grad(total)(inputs)
        if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves((value, gradient))):
            return False
    return True
