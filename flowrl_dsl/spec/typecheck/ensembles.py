"""The axis ``ensemble``: ``subset`` and ``member``; values with different numbers of members cannot be combined."""

from __future__ import annotations

from flowrl_dsl.axes import show, without
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.formula import Bound, Constant, Operation, Primitive, Term
from flowrl_dsl.spec.scope import Meeting, Members, Whole
from flowrl_dsl.spec.text import exceeds, text_of
from flowrl_dsl.spec.typecheck.arguments import positional
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.spec.walk import members
from flowrl_dsl.syntax import tree

EXAMPLES = {"subset": "min(subset(Q(s, a), 2), over = ensemble)", "member": "member(Q(s, a), 1)"}


def same_members(terms: tuple[Term, ...], span: Span, frame: Frame) -> bool:
    """Whether all values with an axis ``ensemble`` have the same number of members.

    The ensembles of several sections may have; their sizes are known once all sections have been read.
    """
    found = dict.fromkeys(_members(term, frame) for term in terms if "ensemble" in term.axes)
    wholes = tuple(count for count in found if isinstance(count, Whole))
    counts = [*(count for count in found if isinstance(count, int)), *wholes[:1]]
    if len(counts) > 1:
        words = ["all members" if isinstance(count, Whole) else f"a subset of {count}" for count in found]
        message = f"{words[0]} and {words[1]} of the ensemble meet, which have different lengths"
        frame.error("FRL0257", message, span, "reduce each over ensemble first")
    elif len(wholes) > 1:
        frame.scope.meetings.append(Meeting(wholes, frame.checking.site, frame.call or span))
    return len(counts) <= 1


def _members(term: Term, frame: Frame) -> int | Whole:
    """How many members of an ensemble a value has, or whose all."""
    found = members(term)
    if isinstance(found, int):
        return found
    function, source = (found.function, found.source) if isinstance(found, Operation) else ("", "")
    read = frame.scope.readable.get(source)
    owner = read.owner if read is not None else frame.checking.site.path.partition(".")[0]
    return Whole(function, owner)


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
    known, place = _members(q, frame), frame.call or operands[1].span
    if not _enough(known, name, int(count.value), place, frame):
        return None
    return Operation(
        name, (q, count), q.axes if name == "subset" else without(q.axes, "ensemble"), span=frame.here(call.span)
    )


def _enough(known: int | Whole, function: str, count: int, place: Span, frame: Frame) -> bool:
    """Whether there are so many members; the size of a whole ensemble is known once all sections have been read."""
    if count < 1:
        frame.error("FRL0214", f"{function} takes a whole number above 0, found {count}", place)
    elif isinstance(known, Whole):
        frame.scope.members.append(Members(function, count, frame.checking.site, place, known))
    elif count > known:
        frame.error("FRL0214", exceeds(function, known, count), place)
    return count >= 1 and (isinstance(known, Whole) or count <= known)
