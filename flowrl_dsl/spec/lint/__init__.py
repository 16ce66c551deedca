"""Warnings: specs that are valid but probably unintended.

A warning about options of one component is the component's own (:meth:`~flowrl_dsl.registry.Component.warnings`), as is an
error about its place in the whole algorithm (``errors``).  The rules
here are about what the language has without any component: parameters, formulas, terms of the loss, copies, the order, the
length of a spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowrl_dsl.algorithm import Position
from flowrl_dsl.diagnostics import Diagnostic
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.lint.checked import Checked
from flowrl_dsl.spec.lint.formulas import lonely_particle, zero_gradient
from flowrl_dsl.spec.lint.parameters import division_by_zero, edge_of_range, no_range
from flowrl_dsl.spec.lint.structure import (
    every_update,
    idle_options,
    long_spec,
    no_weight,
    unread_copies,
    unused_order,
)


def lint(check: Check, text: str) -> Iterator[Diagnostic]:
    """The errors that only the whole algorithm shows, or else the warnings; ``text`` is that of the spec's own file.

    No warning is about a default.
    """
    if check.algorithm is None:
        return
    checked = Checked(check.algorithm, check.statements, {r.path: r.component for r in check.scope.reached}, text)
    placed = [
        (one.component, Position(check.algorithm, checked.components, one.path, one.span)) for one in check.scope.reached
    ]
    if errors := [found for component, position in placed for found in component.errors(position)]:
        yield from errors
        return
    for rule in RULES:
        yield from (found for found in rule(checked) if found.span is not None)
    for component, position in placed:
        yield from (found for found in component.warnings(position) if found.span is not None)


RULES: tuple[Callable[[Checked], Iterator[Diagnostic]], ...] = (
    division_by_zero,
    edge_of_range,
    no_range,
    unread_copies,
    idle_options,
    no_weight,
    lonely_particle,
    zero_gradient,
    every_update,
    unused_order,
    long_spec,
)
