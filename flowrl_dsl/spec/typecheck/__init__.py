"""Formulas: names, arguments and axes are checked, ``let`` and ``def`` expanded.

The rules are functions of an expression and the :class:`~flowrl_dsl.spec.typecheck.frame.Frame` it stands in, one file for
each theme: ``names``, ``calls`` (of the networks' functions and of definitions) with their ``arguments``, ``primitives``
(arithmetic and axes), ``copies``, ``ensembles``, ``gradients``.  A rule returns the term of its expression; None where it,
or a rule for a part of it, reported an error.  An expression with such a part is checked no further, so that one mistake is
one message, and its other parts are, so that every mistake of a formula is found.
"""

from __future__ import annotations

from flowrl_dsl.axes import show, without
from flowrl_dsl.diagnostics import Proposal, Span
from flowrl_dsl.formula import OPERATORS, Formula, Slot, Term
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.calls import call
from flowrl_dsl.spec.typecheck.copies import reading
from flowrl_dsl.spec.typecheck.frame import DEEPEST, LARGEST, Checking, Frame, TooLarge
from flowrl_dsl.spec.typecheck.gradients import FEATURES, GRADIENT
from flowrl_dsl.spec.typecheck.names import constant, name
from flowrl_dsl.spec.typecheck.primitives import elementwise
from flowrl_dsl.spec.walk import depends_on, expanded_size
from flowrl_dsl.syntax import tree

__all__ = ["FEATURES", "GRADIENT", "check"]


def check(expr: tree.Expr, slot: Slot, scope: Scope, site: Site) -> Formula | None:
    """The typed formula of a slot; None when an error was reported."""
    checking = Checking(slot, scope, site, _rule)
    lets = {} if site.default else {**scope.lets, **site.lets}
    try:
        term = Frame(checking, lets=lets).term(expr)
        if term is not None and expanded_size(term) > LARGEST:
            raise TooLarge
    except TooLarge:
        message = f"with its definitions expanded, the formula has more than {LARGEST} parts or {DEEPEST} levels"
        scope.error("FRL0229", message, site, expr.span, "bind what is used often with `let`")
        return None
    if term is None or not (_fits(term, expr, checking) and _reaches(term, expr.span, checking)):
        return None
    return Formula(term, text=text_of(expr), span=site.at(expr.span))


def _rule(expr: tree.Expr, frame: Frame) -> Term | None:
    match expr:
        case tree.Number(value):
            return constant(expr, value, frame)
        case tree.Name():
            return name(expr, frame)
        case tree.Unary(tree.Number(value)):
            return constant(expr, -value, frame)
        case tree.Unary(operand):
            return elementwise("neg", (operand,), expr.span, frame)
        case tree.Binary(operator, left, right):
            return elementwise(OPERATORS[operator], (left, right), expr.span, frame)
        case tree.Call():
            return call(expr, frame)
        case tree.From():
            return reading(expr, frame)
    frame.error("FRL0251", _NOT_FORMULA[type(expr)], expr.span, "a formula is made of names, numbers and calls")
    return None


_NOT_FORMULA: dict[type, str] = {
    tree.String: "a formula holds no strings",
    tree.Boolean: "a formula holds no true or false: use 1 and 0",
    tree.List: "a formula holds no lists",
    tree.Arrow: "an arrow has no meaning in a formula",
}


def _fits(term: Term, expr: tree.Expr, checking: Checking) -> bool:
    """Whether the slot can hold the term's axes."""
    result = checking.slot.result
    extra = without(term.axes, *result)
    if extra:
        axes = extra[0] if len(extra) == 1 else show(extra)
        wanted = show(result) if result else "a scalar"
        message = f"`{checking.slot_name}` has axes {show(term.axes)}, but the slot holds {wanted}"
        hint = f"reduce {axes}, for instance by mean(..., over = {axes})"
        reduced = Proposal(hint, text_of(expr), f"mean({text_of(expr)}, over = {axes})")
        checking.scope.error("FRL0248", message, checking.site, expr.span, reduced)
    return not extra


def _reaches(term: Term, span: Span, checking: Checking) -> bool:
    """Whether a slot that is differentiated depends on a value, or a function, that its gradient reaches."""
    slot, owner = checking.slot, checking.site.path.split(".")[0]
    if not slot.through or any(depends_on(term, name, owner) for name in slot.through):
        return True
    names = " or ".join(slot.through)
    message = f"`{checking.slot_name}` is differentiated with respect to {names}, and does not depend on it"
    use = f"{names} outside stop(...)"
    is_value = slot.through[0] in slot.values
    hint = f"use {use}, for instance in Q(s, {slot.through[0]})" if is_value else f"call {use}, without `from`"
    checking.scope.error("FRL0256", message, checking.site, span, hint)
    return False
