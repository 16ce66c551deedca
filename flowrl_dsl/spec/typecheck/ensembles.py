"""The axis ``ensemble``: ``subset`` and ``member``; values with different numbers of members cannot be combined."""

from __future__ import annotations

from flowrl_dsl.axes import show, without
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.formula import Bound, Constant, Operation, Primitive, Term
from flowrl_dsl.spec.scope import Members
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.arguments import positional
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.spec.walk import members
from flowrl_dsl.syntax import tree

EXAMPLES = {"subset": "min(subset(Q(s, a), 2), over = ensemble)", "member": "member(Q(s, a), 1)"}


def same_members(terms: tuple[Term, ...], span: Span, frame: Frame) -> bool:
    """Whether all values with an axis ``ensemble`` have the same number of members."""
    counts = list(dict.fromkeys(members(term) for term in terms if "ensemble" in term.axes))
    if len(counts) > 1:
        words = ["all members" if count is None else f"a subset of {count}" for count in counts]
        message = f"{words[0]} and {words[1]} of the ensemble meet, which have different lengths"
        frame.error("FRL0257", message, span, "reduce each over ensemble first")
    return len(counts) <= 1


def some_members(function: Primitive, call: tree.Call, frame: Frame) -> Term | None:
    """``subset(q, n)`` and ``member(q, n)``: a constant number, since it is the length of an axis or a place on it."""
    operands = positional(call, 2, frame)
    values = [frame.term(operand) for operand in operands or ()]
    if operands is None or values[0] is None or values[1] is None:
        return None
    q, count, name = values[0], values[1], function.name
    if "ensemble" not in q.axes:
        message = f"{name} takes members of an ensemble: its argument has axes {show(q.axes)}"
        hint = f"apply it before reducing: {EXAMPLES[name]}"
        frame.error("FRL0246", message, operands[0].span, hint)
        return None
    while isinstance(count, Bound):
        count = count.value
    if not isinstance(count, Constant) or not count.value.is_integer():
        hint = "it shapes the compiled program, so that neither a parameter nor arithmetic can stand here"
        message = f"{name} takes a whole number, found {text_of(operands[1])}"
        frame.error("FRL0213", message, operands[1].span, hint)
        return None
    if not _enough(q, Members(name, int(count.value), frame.checking.site, frame.call or operands[1].span), frame):
        return None
    return Operation(
        name, (q, count), q.axes if name == "subset" else without(q.axes, "ensemble"), span=frame.here(call.span)
    )


def _enough(q: Term, asked: Members, frame: Frame) -> bool:
    """Whether there are so many members; the size of the whole ensemble is known once all sections have been read."""
    known = members(q)
    if asked.count < 1:
        frame.error("FRL0214", f"{asked.function} takes a whole number above 0, found {asked.count}", asked.span)
        return False
    if known is not None and asked.count > known:
        frame.error("FRL0214", asked.exceeds(known), asked.span)
        return False
    if known is None:
        frame.scope.members.append(asked)
    return True
