"""The numeric options of an algorithm that are inputs of its program, and whether the program reads each of them.

A component may declare an option and never read it, or inherit one that only its base class reads.  Such an option
parses, can be overridden and swept, and has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from flowrl_dsl.algorithm import Algorithm, Position
from flowrl_dsl.graph.nodes import INPUT, Graph
from flowrl_dsl.registry import Component, Drawn, Interval, Scalar
from flowrl_dsl.spec.compatibility import unread
from flowrl_dsl.spec.kinds import kinds

if TYPE_CHECKING:
    from flowrl_dsl.testing.trials import Trial


class Number(NamedTuple):
    """An option that holds a number: its path in the algorithm, the number, and the range the component declares."""

    path: str
    scalar: Scalar
    interval: Interval


def numbers(algorithm: Algorithm) -> Iterator[Number]:
    """The options that hold numbers, of every component an algorithm uses, except those ``unread`` or ``idle`` in it."""
    parts: dict[str, Component] = {**algorithm.sections}
    parts |= {block.label: block.mechanism for block in algorithm.improvements}
    moving = [(p.name, p.schedule or p.learned) for p in algorithm.parameters.values()]
    parts |= {name: part for name, part in moving if part is not None}
    everything = {path: part for name, top in parts.items() for path, part in _within(name, top)}
    for name, top in parts.items():
        yield from _numbers_in(Position(algorithm, everything, name), top)


def _within(path: str, component: Component) -> Iterator[tuple[str, Component]]:
    """A component and all its subcomponents, with their paths."""
    yield path, component
    for name in type(component).model_fields:
        value: Any = getattr(component, name)
        held = value.value if isinstance(value, Drawn) else value.schedule if isinstance(value, Scalar) else value
        if isinstance(held, Component):
            yield from _within(f"{path}.{name}", held)


def _numbers_in(at: Position, component: Component) -> Iterator[Number]:
    silent = unread(component).keys() | component.idle(at).keys()
    for name, kind in kinds(type(component)).items():
        if name in silent:
            continue
        value: Any = getattr(component, name)
        value = value.value if isinstance(value, Drawn) else value
        if isinstance(value, Scalar):
            yield Number(f"{at.path}.{name}", value, kind.interval)
            value = value.schedule
        if isinstance(value, Component):
            yield from _numbers_in(replace(at, path=f"{at.path}.{name}"), value)


def unread_numbers(algorithm: Algorithm, graphs: Mapping[str, Graph]) -> list[str]:
    """The paths of numeric options of components that are not an input of any graph.

    A scheduled number is read through the numbers of its schedule, a learned one from the state.
    """
    inputs = {node.name for graph in graphs.values() for node in graph.nodes.values() if node.op == INPUT}
    changing = {p.name for p in algorithm.parameters.values() if p.schedule is not None or p.learned is not None}
    return [
        path
        for path, scalar, _ in numbers(algorithm)
        if scalar.schedule is None and scalar.name not in changing and f"hyper.{scalar.name}" not in inputs
    ]


def check_numbers_are_read(trial: Trial) -> None:
    """Every numeric option is an input of the program, unless its component declares it unread or idle."""
    ignored = unread_numbers(trial.algorithm, trial.program.graphs)
    assert not ignored, f"nothing reads {', '.join(ignored)}; unread() and idle() declare what a component does not read"
