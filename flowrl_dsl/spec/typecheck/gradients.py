"""``grad(value, wrt = variable)``, and the axes of the networks' features, along which it has no rows."""

from __future__ import annotations

from flowrl_dsl.axes import show, without
from flowrl_dsl.diagnostics import Proposal, did_you_mean
from flowrl_dsl.formula import Gradient, Term, Variable
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.arguments import positional, without_named
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.syntax import tree

FEATURES = ("obs", "action")
"""The axes that networks read."""
GRADIENT = "grad"


def gradient(call: tree.Call, frame: Frame) -> Term | None:
    wrt, rest = without_named(call, "wrt", frame)
    operands = positional(rest, 1, frame, ("wrt",))
    value = None if operands is None else frame.term(operands[0])
    variable = _variable(wrt, call, frame)
    if value is None or variable is None or operands is None:
        return None
    rows = without(variable.axes, *FEATURES)
    extra = without(value.axes, *rows)
    if extra:
        message = f"grad needs one number for each of {show(rows)}, but its argument has axes {show(value.axes)}"
        text = text_of(operands[0])
        note = f"reduce {extra[0]} first, for instance by mean(..., over = {extra[0]})"
        hint = Proposal(note, text, f"mean({text}, over = {extra[0]})")
        frame.error("FRL0249", message, operands[0].span, hint)
        return None
    return Gradient(value, variable, variable.axes, frame.here(call.span))


def _variable(wrt: tree.Expr | None, call: tree.Call, frame: Frame) -> Variable | None:
    """The value of the slot that ``wrt`` names, directly or through the argument of a definition."""
    values = ", ".join(frame.slot.values)
    if wrt is None:
        message = "grad needs `wrt = ...`, the value to differentiate with respect to"
        frame.error("FRL0250", message, call.span, f"one of {values}")
        return None
    if isinstance(wrt, tree.Name):
        arguments, axes = frame.arguments or {}, frame.slot.values.get(wrt.id)
        given = arguments.get(wrt.id)
        if isinstance(given, Variable) and given.name in frame.slot.values:
            return given
        if axes is not None and wrt.id not in arguments:
            return Variable(wrt.id, axes, frame.here(wrt.span))
    found = f'"{wrt.id}"' if isinstance(wrt, tree.Name) else "an expression"
    message = f"`wrt` must be a value of `{frame.checking.slot_name}`, found {found}"
    hint = did_you_mean(wrt.id, frame.slot.values) if isinstance(wrt, tree.Name) else f"one of {values}"
    frame.error("FRL0250", message, wrt.span, hint)
    return None
