"""Warnings about formulas."""

from __future__ import annotations

from collections.abc import Iterator

from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Formula, Gradient, Operation, Variable, terms
from flowrl_dsl.formulas import formulas_of
from flowrl_dsl.registry import Drawn
from flowrl_dsl.spec.lint.checked import Checked


def lonely_particle(checked: Checked) -> Iterator[Diagnostic]:
    """A comparison across particles when only one is drawn."""
    for path, component in checked.components.items():
        for name in type(component).model_fields:
            value = getattr(component, name)
            if isinstance(value, Drawn) and value.value == 1:
                compared = next(filter(_compares_particles, formulas_of(component)), None)
                if compared is not None:
                    message, place = "with one particle, what compares particles is constant", f"{path}.{name}"
                    hint = f"the formula is {compared.text}"
                    yield warning("FRL0315", message, checked.algorithm.written(place), hint)


def _compares_particles(formula: Formula) -> bool:
    return any("particle" in term.over for term in terms(formula.term) if isinstance(term, Operation))


def zero_gradient(checked: Checked) -> Iterator[Diagnostic]:
    """A gradient with respect to a variable that the value does not depend on."""
    for formula in checked.formulas.values():
        for term in terms(formula.term):
            if isinstance(term, Gradient) and term.wrt.name not in _flowing(term):
                message = f"this gradient is 0: nothing in it depends on {term.wrt.name}"
                yield warning("FRL0318", message, term.span)


def _flowing(gradient: Gradient) -> set[str]:
    """Names through which a gradient can flow: those outside of ``stop``."""
    stopped = [t for t in terms(gradient.value) if isinstance(t, Operation) and t.function == "stop"]
    behind = {id(t) for stop in stopped for t in terms(stop)}
    return {t.name for t in terms(gradient.value) if isinstance(t, Variable) and id(t) not in behind}
