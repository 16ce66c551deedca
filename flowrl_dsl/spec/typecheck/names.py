"""Leaves of a formula: numbers, and the names of values, sizes, parameters, lets and arguments."""

from __future__ import annotations

from collections.abc import Mapping

from flowrl_dsl.algorithm import Parameter
from flowrl_dsl.axes import AXES
from flowrl_dsl.diagnostics import Span, did_you_mean
from flowrl_dsl.formula import PRIMITIVES, Bound, Constant, Term, Variable
from flowrl_dsl.registry import families, functions, language_of, visible
from flowrl_dsl.spec.numbers import NotANumber, fold
from flowrl_dsl.spec.scope import Required, Scope, inside
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.spec.typecheck.gradients import GRADIENT
from flowrl_dsl.syntax import tree


def constant(expr: tree.Number | tree.Unary, value: float, frame: Frame) -> Term | None:
    try:
        fold(expr)
    except NotANumber as reason:
        frame.error("FRL0224", f"this number has no value: {reason}", expr.span)
        return None
    return Constant(float(value), span=frame.here(expr.span))


def name(expr: tree.Name, frame: Frame) -> Term | None:
    """An argument of the def being expanded, a value of the slot, a let, a parameter or a size."""
    key, span = expr.id, frame.here(expr.span)
    if frame.arguments is not None and key in frame.arguments:
        return frame.arguments[key]
    parameter = _parameters(frame).get(key)
    if key in frame.slot.values:
        if key in frame.lets or parameter is not None:
            _ambiguous(expr, frame)
            return None
        if key in frame.slot.needs:
            place, owner = frame.call or expr.span, frame.slot.drawn_by.get(key, "")
            frame.scope.required.append(Required(key, frame.slot.needs[key], frame.checking.site, place, owner=owner))
        return Variable(key, frame.slot.values[key], span)
    if key in frame.lets:
        return _let(frame.lets[key], expr.span, frame)
    if parameter is not None:
        frame.scope.use("param", parameter)
        return Variable(key, (), span)
    if key in frame.slot.sizes:
        return Variable(key, (), span)
    _unknown(expr, frame)
    return None


def _parameters(frame: Frame) -> Mapping[str, Parameter]:
    """The algorithm's parameters; none are visible to defaults and the standard library."""
    from_library = frame.define is not None and frame.define.span.file == frame.scope.library
    return {} if frame.checking.site.default or from_library else frame.scope.parameters


def _ambiguous(expr: tree.Name, frame: Frame) -> None:
    declared = "let" if expr.id in frame.lets else "param"
    message = f'"{expr.id}" is both a {declared} and a value of `{frame.checking.slot_name}`'
    frame.error("FRL0252", message, expr.span, f"give the {declared} another name")


def _let(let: tree.Let, use: Span, frame: Frame) -> Term | None:
    """The value of a let, which is checked once for all its uses."""
    key, checked = let.name.id, frame.checking.lets
    frame.scope.use("let", let)
    if key in frame.active or _before(use, let.span, frame.scope):
        message = f'let "{key}" is used before it has a value'
        frame.error("FRL0228", message, use, f"it is given at {let.span}")
        return None
    if let.span not in checked:
        top = frame.scope.lets.get(key) is let
        inner = Frame(frame.checking, lets=frame.scope.lets if top else frame.lets, active=(*frame.active, key))
        checked[let.span] = inner.term(let.value)
    value = checked[let.span]
    return None if value is None else Bound(key, value, value.axes, frame.here(use))


def _before(use: Span, let: Span, scope: Scope) -> bool:
    """Whether a use stands before the let; overrides of a task hold wherever they are written."""
    moved = any(inside(use, task.span) != inside(let, task.span) for task in scope.applied)
    return not moved and use.file == let.file and (use.line, use.column) < (let.end_line, let.end_column)


def _unknown(expr: tree.Name, frame: Frame) -> None:
    key, span = expr.id, expr.span
    if key in visible(frame.slot) or key in PRIMITIVES or key in frame.scope.defines or key == GRADIENT:
        frame.error("FRL0240", f'"{key}" is a function, not a value', span, f"call it: {key}(...)")
        return
    if not frame.scope.complete:
        return
    seen = {*frame.slot.values, *frame.slot.sizes, *frame.scope.parameters, *frame.lets, *(frame.arguments or ())}
    if key in _values_of_slots() or key in functions():
        message = f'`{frame.checking.slot_name}` cannot see "{key}"'
        frame.error("FRL0241", message, span, f"it sees {', '.join(sorted(seen))}")
    elif key in AXES:
        message = f'"{key}" is an axis, not a value'
        frame.error("FRL0240", message, span, f"axes are named after `over`: mean(x, over = {key})")
    else:
        frame.error("FRL0240", f'unknown name "{key}"', span, did_you_mean(key, seen))


def _values_of_slots() -> set[str]:
    """Names of the values that some slot of some component can see."""
    slots = (
        (language_of(field) or {}).get("slot")
        for members in families().values()
        for component in members.values()
        for field in component.model_fields.values()
    )
    return {name for slot in slots if slot is not None for name in (*slot.values, *slot.sizes)}
