"""Warnings about parameters."""

from __future__ import annotations

from collections.abc import Iterator

from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Operation, Variable, terms
from flowrl_dsl.spec.lint.checked import Checked


def division_by_zero(checked: Checked) -> Iterator[Diagnostic]:
    """A parameter that is 0 and appears in a denominator."""
    zeros = {name for name, parameter in checked.algorithm.parameters.items() if parameter.value == 0}
    for formula in checked.formulas.values():
        for term in terms(formula.term):
            if isinstance(term, Operation) and term.function == "div":
                below = {t.name for t in terms(term.operands[1]) if isinstance(t, Variable)} & zeros
                for name in sorted(below):
                    yield warning("FRL0301", f'param "{name}" is 0, and this divides by it', term.span)


def edge_of_range(checked: Checked) -> Iterator[Diagnostic]:
    """A parameter whose initial value is an end of its range; one that stays 0 switches off what it weighs."""
    for name, parameter in checked.algorithm.parameters.items():
        interval, stays = parameter.interval, parameter.learned is None and parameter.schedule is None
        if stays and parameter.value == 0:
            continue
        if parameter.value in (interval.low, interval.high) and interval.low < interval.high:
            message = f'param "{name}" starts at the edge of its range {interval}'
            yield warning("FRL0302", message, parameter.span, "there is room on one side only")


def no_range(checked: Checked) -> Iterator[Diagnostic]:
    """A parameter without a range."""
    for name, param in checked.statements.params.items():
        if param.range is None and name in checked.algorithm.parameters:
            hint = f"say which values make sense: param {name} = ... in (0, 1]"
            yield warning("FRL0303", f'param "{name}" has no range', param.name.span, hint)
