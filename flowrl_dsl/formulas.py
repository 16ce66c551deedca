"""The formulas of components, and of a whole algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.formula import Formula, functions, variables
from flowrl_dsl.registry import Component, Drawn


def formulas(components: Mapping[str, Component]) -> Iterator[tuple[str, Formula]]:
    """The formulas of the components, each with its path."""
    for path, component in components.items():
        for name in type(component).model_fields:
            value = getattr(component, name)
            if isinstance(value, Formula):
                yield f"{path}.{name}", value


def formulas_of(component: object) -> Iterator[Formula]:
    """All formulas of a component and of the components it holds."""
    if isinstance(component, Formula):
        yield component
    elif isinstance(component, Drawn):
        yield from formulas_of(component.value)
    elif isinstance(component, Component):
        for name in type(component).model_fields:
            yield from formulas_of(getattr(component, name, None))


def reads(algorithm: Algorithm, *names: str) -> bool:
    """Whether a formula of the algorithm reads one of these values, or calls one of these functions."""
    parts = (*algorithm.sections.values(), *(block.mechanism for block in algorithm.improvements))
    read = (variables(formula) | functions(formula) for part in parts for formula in formulas_of(part))
    return any(not found.isdisjoint(names) for found in read)
