"""The resolved spec as canonical text: every option written out, definitions expanded, nothing inherited.

Resolving the text gives the same algorithm again; only places and origins differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flowrl_dsl.algorithm import (
    FACTOR,
    POLICY,
    Action,
    Algorithm,
    Condition,
    CopyParameters,
    Improvement,
    Parameter,
    Phase,
    ResetOptimizers,
    Stage,
    StageVisitor,
    written_as,
)
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.formula import OPERATORS, Bound, Constant, Formula, Gradient, Operation, Term, Variable, inner
from flowrl_dsl.formulas import formulas_of
from flowrl_dsl.registry import ANY, Component, Drawn, Interval, Scalar, SectionKind
from flowrl_dsl.spec.compatibility import written_out
from flowrl_dsl.spec.kinds import choices, kinds, without_none
from flowrl_dsl.spec.numbers import whole
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.formatter import format_file

_NOWHERE = Span("", 1, 1, 1, 1)
_SYMBOLS = {function: symbol for symbol, function in OPERATORS.items()}


def show(algorithm: Algorithm) -> str:
    """The algorithm as the text of a spec that resolves to it."""
    return format_file(tree.File(_Writer(algorithm).algorithm(), ()))


def show_option(component: Component, name: str) -> str:
    """One option's value as text."""
    return text_of(_value(component, name))


def show_parameter(parameter: Parameter) -> str:
    """A parameter's value and range as text."""
    statement = _param(parameter)
    return text_of(statement.value) + ("" if parameter.interval == ANY else f" in {parameter.interval}")


class _Writer:
    """Turns an algorithm back into syntax."""

    def __init__(self, algorithm: Algorithm):
        self._of = algorithm
        self._top = _lets(self._formulas_outside_blocks())

    def _formulas_outside_blocks(self) -> Iterable[Formula]:
        """Formulas in places that admit no lets: their lets are declared at the top level."""
        for parameter in self._of.parameters.values():
            yield from formulas_of(parameter.learned)
            yield from formulas_of(parameter.schedule)
        for section in self._of.sections.values():
            if not _has_formulas(section):
                yield from formulas_of(section)

    def algorithm(self) -> tree.Algorithm:
        of = self._of
        first = [name for name, section in of.sections.items() if _is_called(name, section)]
        first.sort(key=lambda name: name != POLICY)
        sections = [self._section(name) for name in (*first, *(name for name in of.sections if name not in first))]
        params = [_param(parameter) for parameter in of.parameters.values()]
        lets = [_let(bound) for bound in self._top.values()]
        improvements = [self._improve(block) for block in of.improvements if block.owner == POLICY]
        phases = [_phase(phase) for phase in of.phases]
        groups: list[Iterable[tree.Statement]] = [_settings(of), phases, lets]
        groups += [*([s] for s in sections[: len(first)]), params]
        groups += [[improve] for improve in improvements] + [[s] for s in sections[len(first) :]]
        title = tree.String(of.title, _NOWHERE) if of.title else None
        return tree.Algorithm(_name(of.name), title, None, _spaced(groups), _NOWHERE)

    def _improve(self, block: Improvement) -> tree.Improve:
        plain = block.factor == Scalar(name=f"{block.label}.{FACTOR}", value=1.0)
        weight = None if plain else _scalar(block.factor)
        return tree.Improve(weight, _name(block.mechanism.name), self._options(block.mechanism), _NOWHERE)

    def _section(self, name: str) -> tree.Section:
        section = self._of.sections[name]
        inside = [] if name == POLICY else [self._improve(block) for block in self._of.improvements if block.owner == name]
        given = None if name == section.name else _name(name)
        return tree.Section(_name(section.name), (*self._options(section), *inside), _NOWHERE, given)

    def _options(self, component: Component) -> tuple[tree.Statement, ...]:
        """The body of a section or improve block: its lets, then its options."""
        lets = [bound for name, bound in _lets(formulas_of(component)).items() if name not in self._top]
        options = [_assign(name, _value(component, name)) for name in written_out(component, kinds(type(component)))]
        return (*map(_let, lets), *options)


def _is_called(name: str, section: Component) -> bool:
    """Whether formulas call functions of this section; among several of a kind, only those of the unnamed one."""
    return isinstance(section, SectionKind) and bool(section.functions) and name == section.name


def _has_formulas(component: Component) -> bool:
    return any(kind.role == "formula" for kind in kinds(type(component)).values())


def _lets(found: Iterable[Formula]) -> dict[str, Bound]:
    """The lets that formulas use, in dependency order."""
    lets: dict[str, Bound] = {}
    seen: set[int] = set()

    def visit(term: Term) -> None:
        if id(term) in seen:
            return
        seen.add(id(term))
        for part in inner(term):
            visit(part)
        if isinstance(term, Bound):
            lets.setdefault(term.name, term)

    for formula in found:
        visit(formula.term)
    return lets


# --- statements


def _settings(of: Algorithm) -> list[tree.Statement]:
    paper = [_assign("paper", tree.String(of.paper, _NOWHERE))] if of.paper else []
    order = [] if of.phases else [_assign("order", _Syntax().visit(of.order))]
    return [*paper, _assign("regime", _component(of.regime)), *order]


def _phase(phase: Phase) -> tree.Section:
    lengths = {"updates": phase.updates, "steps": phase.steps}
    options = [_assign(name, _number(length)) for name, length in lengths.items() if length is not None]
    options.append(_assign("order", _Syntax().visit(phase.order)))
    if phase.begin:
        options.append(_assign("begin", _Syntax().begin(phase.begin)))
    return tree.Section(_name("phase"), tuple(options), _NOWHERE, _name(phase.name))


def _spaced(groups: Iterable[Iterable[tree.Statement]]) -> tuple[tree.Statement, ...]:
    """Statements placed so that the formatter leaves a blank line between groups and breaks sections into lines."""
    placed, line = [], 1
    for group in groups:
        for statement in group:
            high = 1 if isinstance(statement, tree.Section | tree.Improve) else 0
            placed.append(replace(statement, span=Span("", line, 1, line + high, 1)))
            line += high + 1
        line += 2
    return tuple(placed)


def _name(name: str) -> tree.Name:
    return tree.Name(name, _NOWHERE)


def _assign(key: str, value: tree.Expr) -> tree.Assign:
    return tree.Assign(_name(key), value, _NOWHERE)


def _let(bound: Bound) -> tree.Let:
    return tree.Let(_name(bound.name), _term(bound.value), _NOWHERE)


def _param(parameter: Parameter) -> tree.Param:
    if parameter.schedule is not None:
        value = _component(parameter.schedule)
    elif parameter.learned is not None:
        value = _component(parameter.learned)
    else:
        value = _number(parameter.value)
    return tree.Param(_name(parameter.name), value, _range(parameter.interval), _NOWHERE)


def _range(interval: Interval) -> tree.Range | None:
    if interval == ANY:
        return None
    low = None if interval.low == float("-inf") else whole(interval.low)
    high = None if interval.high == float("inf") else whole(interval.high)
    return tree.Range(low, high, interval.low_open, interval.high_open, _NOWHERE)


class _Syntax(StageVisitor[tree.Expr]):
    """The syntax of an order."""

    def single(self, name: str) -> tree.Expr:
        return _name(name)

    def sequence(self, parts: tuple[Stage, ...]) -> tree.Expr:
        return tree.Arrow(tuple(map(self.visit, parts)), _NOWHERE)

    def together(self, parts: tuple[Stage, ...]) -> tree.Expr:
        return tree.List(tuple(map(self.visit, parts)), _NOWHERE)

    def when(self, condition: Condition, stage: Stage) -> tree.Expr:
        word, count, others = written_as(condition)
        plain = (_argument(None, _number(count)), _argument(None, self.visit(stage)))
        named = tuple(_argument(name, _number(value)) for name, value in others.items())
        return tree.Call(_name(word), (*plain, *named), _NOWHERE)

    def begin(self, actions: tuple[Action, ...]) -> tree.Expr:
        return tree.List(tuple(map(self._action, actions)), _NOWHERE)

    def _action(self, action: Action) -> tree.Expr:
        match action:
            case CopyParameters(source, owner):
                return _call("copy", _argument(None, _name(source)), _argument(None, _name(owner)))
            case ResetOptimizers(owners):
                return _call("reset", *(_argument(None, _name(owner)) for owner in owners))


# --- values


def _argument(name: str | None, value: tree.Expr) -> tree.Argument:
    return tree.Argument(None if name is None else _name(name), value, _NOWHERE)


def _component(component: Component) -> tree.Expr:
    """A call with all options; a schedule's ends are joined by an arrow."""
    values = {name: _value(component, name) for name in kinds(type(component))}
    arguments = []
    if {"start", "end"} <= {*values}:
        ends = (values.pop("start"), values.pop("end"))
        arguments.append(_argument(None, tree.Arrow(ends, _NOWHERE)))
    arguments += [_argument(name, value) for name, value in values.items()]
    return tree.Call(_name(component.name), tuple(arguments), _NOWHERE) if arguments else _name(component.name)


def _value(component: Component, name: str) -> tree.Expr:
    value = getattr(component, name)
    if isinstance(value, Formula):
        return _term(value.term)
    if isinstance(value, Scalar):
        return _scalar(value)
    if isinstance(value, Drawn):
        return tree.From(_drawn(value.value), _name(value.source), _NOWHERE)
    if isinstance(value, Component):
        return _component(value)
    annotation, _ = without_none(type(component).model_fields[name].annotation)
    return _literal(value, choices(annotation))


def _drawn(value: Component | Scalar | int) -> tree.Expr:
    if isinstance(value, Component):
        return _component(value)
    return _scalar(value) if isinstance(value, Scalar) else _number(value)


def _scalar(scalar: Scalar) -> tree.Expr:
    if scalar.schedule is not None:
        return _component(scalar.schedule)
    return _name(scalar.name) if scalar.value is None else _number(scalar.value)


def _literal(value: Any, words: tuple[str, ...] = ()) -> tree.Expr:
    if value is None:
        return _name("none")
    if isinstance(value, bool):
        return tree.Boolean(value, _NOWHERE)
    if isinstance(value, str):
        return _name(value) if value in words and value.isidentifier() else tree.String(value, _NOWHERE)
    if isinstance(value, tuple | list):
        return tree.List(tuple(_literal(item, words) for item in value), _NOWHERE)
    return _number(value)


def _number(value: int | float) -> tree.Expr:
    number = tree.Number(whole(abs(value)) if abs(value) < 1e15 else abs(value), _NOWHERE)
    return tree.Unary(number, _NOWHERE) if value < 0 else number


# --- formulas


def _term(term: Term) -> tree.Expr:
    match term:
        case Constant(value):
            return _number(value)
        case Variable(name) | Bound(name):
            return _name(name)
        case Gradient(value, wrt):
            return _call("grad", _argument(None, _term(value)), _argument("wrt", _name(wrt.name)))
        case Operation(source=source) if source:
            return tree.From(_term(replace(term, source="")), _name(source), _NOWHERE)
        case Operation("neg", (operand,)) if not isinstance(operand, Constant):
            return tree.Unary(_term(operand), _NOWHERE)
        case Operation(function, (left, right)) if function in _SYMBOLS:
            return tree.Binary(_SYMBOLS[function], _term(left), _term(right), _NOWHERE)
    arguments = [_argument(None, _term(operand)) for operand in term.operands]
    if term.over:
        axes = tuple(map(_name, term.over))
        arguments.append(_argument("over", axes[0] if len(axes) == 1 else tree.List(axes, _NOWHERE)))
    return _call(term.function, *arguments)


def _call(function: str, *arguments: tree.Argument) -> tree.Expr:
    return tree.Call(_name(function), arguments, _NOWHERE)
