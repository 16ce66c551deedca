"""The arguments of calls: how many a function takes, and which of them have names."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.diagnostics import Proposal, did_you_mean
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.syntax import tree


def positional(call: tree.Call, count: int, frame: Frame, names: tuple[str, ...] = ()) -> list[tree.Expr] | None:
    """The arguments of a function that takes ``count`` of them, and by name only those already taken: ``names``."""
    function = call.function.id
    for argument in call.arguments:
        if argument.name is not None:
            message = f'{function} has no argument called "{argument.name.id}"'
            hint = did_you_mean(argument.name.id, names) if names else "its arguments are given in order"
            frame.error("FRL0253", message, argument.name.span, hint)
            return None
    if len(call.arguments) != count:
        for argument in call.arguments:
            frame.term(argument.value)
        given = len(call.arguments)
        message = f"{function} takes {_counted(count)}, found {given}"
        frame.error("FRL0243", message, call.span, _alternative(call))
        return None
    return [argument.value for argument in call.arguments]


def _alternative(call: tree.Call) -> str:
    """A hint for ``min(x, y)`` where ``minimum(x, y)`` is probably meant."""
    function = call.function.id
    other = {"min": "minimum", "max": "maximum"}.get(function)
    if other is None or len(call.arguments) != 2:
        return ""
    note, text = f"{function} reduces axes of one value; for two values write {other}(x, y)", text_of(call)
    return Proposal(note, text, other + text.removeprefix(function))


def without_named(call: tree.Call, name: str, frame: Frame) -> tuple[tree.Expr | None, tree.Call]:
    """The value of one named argument, and the call without it."""
    own = [a for a in call.arguments if a.name is not None and a.name.id == name]
    for extra in own[1:]:
        frame.error("FRL0253", f'argument "{name}" is given twice', extra.span, "give it once")
    rest = tuple(a for a in call.arguments if a not in own)
    return (own[0].value if own else None), replace(call, arguments=rest)


def of_define(define: tree.Define, call: tree.Call, frame: Frame) -> dict[str, tree.Expr] | None:
    """The arguments of a call of a definition, by parameter; some may be given by name."""
    names = [p.id for p in define.parameters]
    found: dict[str, tree.Expr] = {}
    hint = f"it is defined as {define.name.id}({', '.join(names)})"
    free = iter(names)
    for argument in call.arguments:
        name = argument.name.id if argument.name is not None else next(free, None)
        if name is None:
            message = f"{define.name.id} takes {_counted(len(names))}, found {len(call.arguments)}"
            frame.error("FRL0243", message, call.span, hint)
            return None
        if name not in names or name in found:
            what = "given twice" if name in found else "unknown"
            frame.error("FRL0253", f'argument "{name}" of {define.name.id} is {what}', argument.span, hint)
            return None
        found[name] = argument.value
    if len(found) < len(names):
        message = f"{define.name.id} takes {_counted(len(names))}, found {len(found)}"
        frame.error("FRL0243", message, call.span, hint)
        return None
    return found


def _counted(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"


def those_with_axis(names: list[str]) -> str:
    """A hint for an argument that lacks an axis."""
    return f"values with that axis: {', '.join(names)}" if names else ""
