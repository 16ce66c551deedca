"""Calls: resolution of function names; functions of the networks and definitions of the spec."""

from __future__ import annotations

from flowrl_dsl.axes import show, union, without
from flowrl_dsl.diagnostics import nearest, suggestion
from flowrl_dsl.formula import PRIMITIVES, Function, Operation, Term
from flowrl_dsl.registry import functions, visible
from flowrl_dsl.spec.scope import Required
from flowrl_dsl.spec.typecheck import arguments
from flowrl_dsl.spec.typecheck.ensembles import same_members
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.spec.typecheck.gradients import FEATURES, GRADIENT, gradient
from flowrl_dsl.spec.typecheck.primitives import primitive
from flowrl_dsl.syntax import tree


def call(expr: tree.Call, frame: Frame) -> Term | None:
    name = expr.function.id
    if name == GRADIENT:
        return gradient(expr, frame)
    if name in PRIMITIVES:
        return primitive(PRIMITIVES[name], expr, frame)
    if name in frame.scope.defines:
        return _define(frame.scope.defines[name], expr, frame)
    if name in visible(frame.slot):
        return _function(functions()[name], expr, frame)
    _unknown(expr, frame)
    for argument in expr.arguments:
        if argument.name is None:
            frame.term(argument.value)
    return None


def _unknown(call: tree.Call, frame: Frame) -> None:
    name, span, slot = call.function.id, call.function.span, frame.checking.slot_name
    seen = list(visible(frame.slot))
    if name in functions():
        sees = f"it sees {', '.join(seen)}" if seen else "it sees no function of the networks"
        frame.error("FRL0241", f'`{slot}` cannot see "{name}"', span, sees)
        return
    if name in {*frame.slot.values, *frame.slot.sizes, *frame.scope.parameters, *frame.lets}:
        frame.error("FRL0242", f'"{name}" is a value, not a function', span, f"use it without parentheses: {name}")
        return
    if not frame.scope.complete:
        return
    names = {*seen, *PRIMITIVES, *frame.scope.defines, GRADIENT}
    close = nearest(name, names)
    hint = suggestion(name, close) if close else f"functions of `{slot}`: {', '.join(sorted(names))}"
    frame.error("FRL0242", f'unknown function "{name}"', span, hint)


# --- functions of the networks


def _function(function: Function, call: tree.Call, frame: Frame) -> Term | None:
    here, place = frame.here(call.span), frame.call or call.span
    read = frame.scope.readable.get(frame.source)
    source, owner = (frame.source, read.owner) if read is not None and function.name in read.functions else ("", "")
    required = Required(f"{function.name}(...)", function.needs, frame.checking.site, place, owner=owner)
    frame.scope.required.append(required)
    operands = arguments.positional(call, len(function.arguments), frame)
    if operands is None:
        return None
    values = [_argument(function, position, operand, frame) for position, operand in enumerate(operands)]
    terms = tuple(value for value in values if value is not None)
    if len(terms) < len(values) or not same_members(terms, call.span, frame):
        return None
    axes = union(without(union(*(t.axes for t in terms)), *function.drops), function.adds)
    return Operation(function.name, terms, axes, span=here, source=source)


def _argument(function: Function, position: int, expr: tree.Expr, frame: Frame) -> Term | None:
    """One argument of a network function, which must have exactly the feature axis that the network reads."""
    term, wanted = frame.term(expr), function.arguments[position]
    if term is None:
        return None
    place = f"argument {position + 1} of {function.name}"
    if [axis for axis in term.axes if axis in FEATURES] != ([wanted] if wanted else []):
        need = f"the axis {wanted}" if wanted else "no feature axis"
        message = f"{place} must have {need}, but has axes {show(term.axes)}"
        fitting = [name for name, axes in frame.slot.values.items() if wanted in axes]
        frame.error("FRL0244", message, expr.span, arguments.those_with_axis(fitting))
        return None
    again = [axis for axis in term.axes if axis in function.adds]
    if again:
        message = f"{place} already has the axis {again[0]}, which {function.name} adds"
        frame.error("FRL0244", message, expr.span, f"reduce {again[0]} first")
        return None
    return term


# --- definitions


def _define(define: tree.Define, call: tree.Call, frame: Frame) -> Term | None:
    """The expression of a definition, with the call's arguments substituted for its parameters."""
    name = define.name.id
    frame.scope.use("def", define)
    if name in frame.active:
        cycle = " -> ".join((*frame.active, name))
        frame.error("FRL0228", f'def "{name}" calls itself', call.span, f"the definitions form a cycle: {cycle}")
        return None
    given = arguments.of_define(define, call, frame)
    if given is None:
        return None
    terms = {parameter: frame.term(value) for parameter, value in given.items()}
    if any(term is None for term in terms.values()):
        return None
    active = (*frame.active, name)
    inner = Frame(frame.checking, terms, frame.call or call.span, define, active=active, source=frame.source)
    return inner.term(define.value)
