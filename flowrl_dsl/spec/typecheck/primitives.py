"""Arithmetic: elementwise functions, reductions, and functions along an axis, with the axes that each may name."""

from __future__ import annotations

from dataclasses import dataclass

from flowrl_dsl.axes import AXES, MANY_ACTIONS, Axes, show, union, without
from flowrl_dsl.diagnostics import Proposal, Span, did_you_mean
from flowrl_dsl.formula import Operation, Primitive, Term
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.arguments import positional, those_with_axis, without_named
from flowrl_dsl.spec.typecheck.ensembles import same_members, some_members
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.syntax import tree

LIKELY = (*MANY_ACTIONS, "ensemble")
"""Axes that a softmax and its like are usually meant to run along."""


@dataclass(frozen=True)
class Use:
    """A call of a primitive with ``over``: its other arguments, their terms, and the axes ``over`` names, if given."""

    function: Primitive
    arguments: tuple[tree.Expr, ...]
    terms: tuple[Term, ...]
    axes: Axes | None
    span: Span
    over: Span
    """The place of ``over``; that of the call where it is not given."""


def primitive(function: Primitive, call: tree.Call, frame: Frame) -> Term | None:
    if function.kind == "elementwise":
        operands = positional(call, function.arity, frame)
        return None if operands is None else elementwise(function.name, tuple(operands), call.span, frame)
    if function.kind == "members":
        return some_members(function, call, frame)
    use = _with_axes(function, call, frame)
    if use is None:
        return None
    return {"along": _along, "towards": _towards}.get(function.kind, _reduction)(use, frame)


def elementwise(function: str, operands: tuple[tree.Expr, ...], span: Span, frame: Frame) -> Term | None:
    """A function of values that are aligned by the names of their axes."""
    values = [frame.term(operand) for operand in operands]
    terms = tuple(value for value in values if value is not None)
    if len(terms) < len(values) or not same_members(terms, span, frame):
        return None
    return Operation(function, terms, union(*(t.axes for t in terms)), span=frame.here(span))


def _with_axes(function: Primitive, call: tree.Call, frame: Frame) -> Use | None:
    over, rest = without_named(call, "over", frame)
    operands = tuple(positional(rest, function.arity, frame, ("over",)) or ())
    values = [frame.term(operand) for operand in operands]
    axes = None if over is None else _axes(over, frame)
    terms = tuple(value for value in values if value is not None)
    if len(terms) < function.arity or (over is not None and axes is None):
        return None
    return Use(function, operands, terms, axes, call.span, (over or call).span)


def _axes(expr: tree.Expr, frame: Frame) -> Axes | None:
    """The axes named by ``over = particle`` or ``over = [ensemble, particle]``."""
    items = expr.items if isinstance(expr, tree.List) else (expr,)
    found: list[str] = []
    for item in items:
        if isinstance(item, tree.Name) and item.id in AXES and item.id not in found:
            found.append(item.id)
        elif isinstance(item, tree.Name) and item.id in found:
            frame.error("FRL0245", f'axis "{item.id}" is named twice', item.span, "name it once")
        elif isinstance(item, tree.Name):
            frame.error("FRL0245", f'unknown axis "{item.id}"', item.span, did_you_mean(item.id, AXES))
        else:
            frame.error("FRL0245", "expected the name of an axis", item.span, f"axes: {', '.join(AXES)}")
    if not items:
        frame.error("FRL0245", "expected the name of an axis", expr.span, f"axes: {', '.join(AXES)}")
    return union(found) if found and len(found) == len(items) else None


def _reduction(use: Use, frame: Frame) -> Term | None:
    """A function that removes the axes it names, or all axes."""
    (value,), name = use.terms, use.function.name
    if use.axes is None and not value.axes:
        frame.error("FRL0254", f"{name} has nothing to reduce: its argument is already a scalar", use.span)
        return None
    if use.axes is not None and not _present(use, use.axes, frame):
        return None
    rest = () if use.axes is None else without(value.axes, *use.axes)
    return Operation(name, (value,), rest, over=use.axes or (), span=frame.here(use.span))


def _along(use: Use, frame: Frame) -> Term | None:
    """A function that operates along exactly one axis and preserves it."""
    if not _one_axis(use, 0, frame) or not _scalars(use, 1, frame):
        return None
    return Operation(use.function.name, use.terms, use.terms[0].axes, over=use.axes or (), span=frame.here(use.span))


def _towards(use: Use, frame: Frame) -> Term | None:
    """A function of a point and of all points along exactly one axis, which it removes."""
    if not _one_axis(use, 1, frame):
        return None
    x, y, *_ = use.terms
    axes = use.axes or ()
    if axes[0] in use.function.reads:
        message = f"{use.function.name} cannot work along {axes[0]}, which holds the components of its points"
        frame.error("FRL0247", message, use.over, "choose an axis that tells the points apart, such as particle")
        return None
    points = all([_is_point(use, position, frame) for position in (0, 1)])
    if set(axes) & set(x.axes):
        message = f"argument 1 of {use.function.name} has the axis {axes[0]} of the points that it is compared with"
        frame.error("FRL0244", message, use.arguments[0].span, "compare one point with others, not a set with itself")
        return None
    if not _scalars(use, 2, frame) or not points:
        return None
    result = without(union(x.axes, y.axes), *axes)
    return Operation(use.function.name, use.terms, result, over=axes, span=frame.here(use.span))


def _is_point(use: Use, position: int, frame: Frame) -> bool:
    """Whether an argument has the axes of a point's components."""
    missing = without(use.function.reads, *use.terms[position].axes)
    if missing:
        fitting = [value for value, has in frame.slot.values.items() if {*use.function.reads} <= {*has}]
        _misfit(use, position, f"the axis {missing[0]}", those_with_axis(fitting), frame)
    return not missing


def _one_axis(use: Use, position: int, frame: Frame) -> bool:
    """Whether ``over`` names exactly one axis, one that an argument has."""
    value, name = use.terms[position], use.function.name
    if use.axes is None or len(use.axes) != 1:
        whose = "its argument" if position == 0 else f"argument {position + 1}"
        hint = _along_likely(use, whose, value.axes) if value.axes else f"{whose} is already a scalar"
        frame.error("FRL0247", f"{name} works along exactly one axis", use.over, hint)
        return False
    return _present(use, use.axes, frame, position)


def _along_likely(use: Use, whose: str, axes: Axes) -> str:
    """A hint that names the axes of an argument, and the one that is usually meant."""
    hint, name = f"{whose} has {', '.join(axes)}", use.function.name
    likely = next((axis for axis in LIKELY if axis in axes), None)
    if likely is None:
        return hint
    text = f"{name}({', '.join(map(text_of, use.arguments))}"
    return Proposal(f"{hint}: write {name}(..., over = {likely})", f"{text})", f"{text}, over = {likely})")


def _present(use: Use, axes: Axes, frame: Frame, position: int = 0) -> bool:
    """Whether an argument has all the axes."""
    has, missing = use.terms[position].axes, without(axes, *use.terms[position].axes)
    if missing:
        whose = "its argument" if position == 0 else f"argument {position + 1}"
        message = f"{use.function.name} over {missing[0]}: {whose} has axes {show(has)}"
        hint = f"it can be reduced over {', '.join(has)}" if has else f"{whose} is already a scalar"
        frame.error("FRL0246", message, use.over, hint)
    return not missing


def _scalars(use: Use, start: int, frame: Frame) -> bool:
    """Whether the arguments from ``start`` on have no axes."""
    found = [position for position in range(start, len(use.terms)) if use.terms[position].axes]
    for position in found:
        _misfit(use, position, "no axes", "reduce it, or use a parameter", frame)
    return not found


def _misfit(use: Use, position: int, need: str, hint: str, frame: Frame) -> None:
    place = f"argument {position + 1} of {use.function.name}"
    message = f"{place} must have {need}, but has axes {show(use.terms[position].axes)}"
    frame.error("FRL0244", message, use.arguments[position].span, hint)
