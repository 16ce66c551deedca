"""The semantic differences between two algorithms, regardless of notation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flowrl_dsl.algorithm import Algorithm, Begin, Improvement, Parameter, show_stage
from flowrl_dsl.formula import Bound, Formula, Gradient, Operation, Term
from flowrl_dsl.registry import Component, Drawn, Scalar
from flowrl_dsl.spec.compatibility import unread
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.show import show_option, show_parameter

ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """One setting by its path, with its value in the left and in the right algorithm; ``-`` where it is absent."""

    path: str
    left: str
    right: str


def compare(left: Algorithm, right: Algorithm) -> list[Difference]:
    """Every setting whose meaning differs, in the order of a spec; names, titles and papers are not compared."""
    return [*_compare(left, right)]


def _compare(left: Algorithm, right: Algorithm) -> Iterator[Difference]:
    if left.regime != right.regime:
        yield Difference("regime", left.regime.name, right.regime.name)
    if left.phases or right.phases:
        yield from _phases(left, right)
    elif left.order != right.order:
        yield Difference("order", show_stage(left.order), show_stage(right.order))
    for name in _either(left.sections, right.sections):
        yield from _sections(name, left.sections.get(name), right.sections.get(name))
    for name in _either(left.parameters, right.parameters):
        yield from _parameters(name, left.parameters.get(name), right.parameters.get(name))
    blocks = [{block.label: block for block in of.improvements} for of in (left, right)]
    for label in _either(*blocks):
        yield from _improvements(label, blocks[0].get(label), blocks[1].get(label))


def _phases(left: Algorithm, right: Algorithm) -> Iterator[Difference]:
    """An algorithm without phases has the one order; phases in another sequence differ as a whole."""
    texts = [_phase_texts(of) for of in (left, right)]
    names = [[phase.name for phase in of.phases] for of in (left, right)]
    if names[0] != names[1]:
        yield Difference("phases", *(" -> ".join(one) or ABSENT for one in names))
    for path in _either(*texts):
        values = [text.get(path, ABSENT) for text in texts]
        if values[0] != values[1]:
            yield Difference(path, values[0], values[1])


def _phase_texts(of: Algorithm) -> dict[str, str]:
    """The options of all phases as text by path."""
    texts: dict[str, str] = {} if of.phases else {"order": show_stage(of.order)}
    for phase in of.phases:
        counts = {f"{phase.name}.updates": phase.updates, f"{phase.name}.steps": phase.steps}
        length = {path: str(count) for path, count in counts.items() if count is not None}
        begin = {f"{phase.name}.begin": show_stage(Begin(phase.begin))} if phase.begin else {}
        texts |= length | {f"{phase.name}.order": show_stage(phase.order)} | begin
    return texts


def _either(left: Iterable[str], right: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*left, *right)))


def _sections(name: str, left: Component | None, right: Component | None) -> Iterator[Difference]:
    if left is None or right is None:
        present: Any = left or right
        for option in _read(present):
            text = show_option(present, option)
            if text != "none":
                yield Difference(f"{name}.{option}", ABSENT if left is None else text, ABSENT if right is None else text)
        return
    yield from _options(name, left, right)


def _parameters(name: str, left: Parameter | None, right: Parameter | None) -> Iterator[Difference]:
    texts = [ABSENT if parameter is None else show_parameter(parameter) for parameter in (left, right)]
    if texts[0] != texts[1]:
        yield Difference(f"param {name}", *texts)


def _improvements(label: str, left: Improvement | None, right: Improvement | None) -> Iterator[Difference]:
    if left is None or right is None:
        yield Difference(f"improve {label}", ABSENT if left is None else "yes", ABSENT if right is None else "yes")
        yield from _sections(label, left.mechanism if left else None, right.mechanism if right else None)
        return
    if _meaning(left.factor) != _meaning(right.factor):
        yield Difference(f"{label} (factor)", *(_factor(block.factor) for block in (left, right)))
    yield from _options(label, left.mechanism, right.mechanism)


def _factor(weight: Scalar) -> str:
    return weight.name if weight.value is None else f"{weight.value:g}"


def _options(path: str, left: Component, right: Component) -> Iterator[Difference]:
    """The options that differ; inside of components of one kind, theirs."""
    shown = [name for name in _either(kinds(type(left)), kinds(type(right))) if name in {*_read(left), *_read(right)}]
    for name in shown:
        a: Any = getattr(left, name, None)
        b: Any = getattr(right, name, None)
        if _meaning(a) == _meaning(b):
            continue
        if isinstance(a, Component) and type(a) is type(b):
            yield from _options(f"{path}.{name}", a, b)
        else:
            yield Difference(f"{path}.{name}", *_texts(left, right, name))


def _read(component: Component) -> list[str]:
    silent = unread(component)
    return [name for name in kinds(type(component)) if name not in silent]


def _texts(left: Component, right: Component, name: str) -> tuple[str, str]:
    """Both values as text; formulas as they were written, unless only their lets differ."""
    a, b = (show_option(of, name) if name in kinds(type(of)) else ABSENT for of in (left, right))
    written = [value.text for value in (getattr(left, name, None), getattr(right, name, None)) if isinstance(value, Formula)]
    if len(written) == 2 and written[0] != written[1] and all(written):
        return written[0], written[1]
    return a, b


def _meaning(value: Any) -> Any:
    """A value without irrelevant details: its place, and the names of lets and inputs."""
    if isinstance(value, Formula):
        return _without_lets(value.term)
    if isinstance(value, Scalar):
        return (value.value, value.schedule and _meaning(value.schedule), value.name if value.value is None else "")
    if isinstance(value, Drawn):
        return (_meaning(value.value), value.source)
    if isinstance(value, Component):
        return (type(value), [(name, _meaning(getattr(value, name))) for name in kinds(type(value))])
    return value


def _without_lets(term: Term) -> Term:
    match term:
        case Bound(_, value):
            return _without_lets(value)
        case Operation(_, operands):
            return replace(term, operands=tuple(map(_without_lets, operands)))
        case Gradient(value, _):
            return replace(term, value=_without_lets(value))
    return term
