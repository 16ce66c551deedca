"""The axis ``ensemble``: members drawn by ``subset``; values with different numbers of members cannot be combined."""

from __future__ import annotations

from flowrl_dsl.axes import show
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.formula import Bound, Constant, Operation, Term
from flowrl_dsl.spec.scope import Subset
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.arguments import positional
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.spec.walk import members
from flowrl_dsl.syntax import tree


def same_members(terms: tuple[Term, ...], span: Span, frame: Frame) -> bool:
    """Whether all values with an axis ``ensemble`` have the same number of members."""
    counts = list(dict.fromkeys(members(term) for term in terms if "ensemble" in term.axes))
    if len(counts) > 1:
        words = ["all members" if count is None else f"a subset of {count}" for count in counts]
        message = f"{words[0]} and {words[1]} of the ensemble meet, which have different lengths"
        frame.error("FRL0257", message, span, "reduce each over ensemble first")
    return len(counts) <= 1


def subset(call: tree.Call, frame: Frame) -> Term | None:
    """``subset(q, n)``: the number must be constant, since it is the length of an axis."""
    operands = positional(call, 2, frame)
    values = [frame.term(operand) for operand in operands or ()]
    if operands is None or values[0] is None or values[1] is None:
        return None
    q, count = values[0], values[1]
    if "ensemble" not in q.axes:
        message = f"subset draws members of an ensemble: its argument has axes {show(q.axes)}"
        frame.error("FRL0246", message, operands[0].span, "draw before reducing: min(subset(Q(s, a), 2), ...)")
        return None
    while isinstance(count, Bound):
        count = count.value
    if not isinstance(count, Constant) or not count.value.is_integer():
        hint = "it shapes the compiled program, so that neither a parameter nor arithmetic can stand here"
        message = f"subset takes a whole number of members, found {text_of(operands[1])}"
        frame.error("FRL0213", message, operands[1].span, hint)
        return None
    if not _enough(q, int(count.value), operands[1].span, frame):
        return None
    return Operation("subset", (q, count), q.axes, span=frame.here(call.span))


def _enough(q: Term, count: int, span: Span, frame: Frame) -> bool:
    """Whether ``count`` members can be drawn; the size of the whole ensemble is known once all sections have been read."""
    drawn = members(q)
    if count < 1 or (drawn is not None and count > drawn):
        most = "" if drawn is None else f" and at most the {drawn} there are"
        frame.error("FRL0214", f"subset takes at least 1 member{most}, found {count}", span)
        return False
    if drawn is None:
        frame.scope.subsets.append(Subset(count, frame.checking.site, frame.call or span))
    return True
