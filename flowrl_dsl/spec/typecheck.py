"""Formulas: names, arguments and axes are checked, ``let`` and ``def`` expanded.

A subformula with an error has no type; what holds it says nothing about it, so that one mistake is one message and
every mistake of a formula is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowrl_dsl.algorithm import Parameter
from flowrl_dsl.axes import AXES, Axes, show, union, without
from flowrl_dsl.diagnostics import Span, did_you_mean, nearest
from flowrl_dsl.formula import (
    OPERATORS,
    PRIMITIVES,
    Bound,
    Constant,
    Formula,
    Function,
    Gradient,
    Operation,
    Primitive,
    Slot,
    Term,
    Variable,
)
from flowrl_dsl.registry import families, functions, language_of, visible
from flowrl_dsl.spec.numbers import NotANumber, fold
from flowrl_dsl.spec.scope import Required, Scope, Site, Subset, inside
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.spec.walk import depends_on, expanded_size, members
from flowrl_dsl.syntax import tree

FEATURES = ("obs", "action")
GRADIENT = "grad"
LIKELY = ("particle", "reverse", "ensemble")
"""Axes that a softmax and its like are usually meant to run along."""
LARGEST = 10_000
"""Parts a formula may have after expansion; more is a definition that doubles itself."""
DEEPEST = 60
"""Lets and definitions that may stand inside one another."""


class TooLarge(Exception):
    """A formula has more than :data:`LARGEST` parts, or is nested deeper than :data:`DEEPEST`."""


@dataclass(frozen=True)
class Frame:
    """Whose names an expression sees: those of the slot, or those of a ``def`` being expanded.

    ``call`` is where the outermost def was called: errors inside a def are shown there.
    """

    arguments: Mapping[str, Term | None] | None = None
    call: Span | None = None
    define: tree.Define | None = None
    lets: Mapping[str, tree.Let] | None = None
    active: tuple[str, ...] = ()


def check(expr: tree.Expr, slot: Slot, scope: Scope, site: Site) -> Formula | None:
    """The typed formula of a slot; None when an error was reported."""
    checker = _Checker(slot, scope, site)
    lets = {} if site.default else {**scope.lets, **site.lets}
    try:
        term = checker.term(expr, Frame(lets=lets))
        if term is not None and expanded_size(term) > LARGEST:
            raise TooLarge
    except TooLarge:
        message = f"with its definitions expanded, the formula has more than {LARGEST} parts or {DEEPEST} levels"
        scope.error("FRL0229", message, site, expr.span, "bind what is used often with `let`")
        return None
    if term is None or not checker.fits(term, expr.span):
        return None
    return Formula(term, text=text_of(expr), span=site.at(expr.span))


@dataclass
class _Checker:
    slot: Slot
    scope: Scope
    site: Site
    _lets: dict[Span, Term | None] = field(default_factory=dict)
    _parts: int = 0

    @property
    def slot_name(self) -> str:
        return self.site.path.rpartition(".")[2]

    def term(self, expr: tree.Expr, frame: Frame) -> Term | None:
        self._parts += 1
        if self._parts > LARGEST or len(frame.active) > DEEPEST:
            raise TooLarge
        span = self._here(expr.span, frame)
        match expr:
            case tree.Number(value):
                return self._constant(expr, value, frame)
            case tree.Name(name):
                return self._name(name, expr, frame)
            case tree.Unary(tree.Number(value)):
                return self._constant(expr, -value, frame)
            case tree.Unary(operand):
                inner = self.term(operand, frame)
                return None if inner is None else Operation("neg", (inner,), inner.axes, span=span)
            case tree.Binary(operator, left, right):
                return self._elementwise(OPERATORS[operator], (left, right), expr.span, frame)
            case tree.Call():
                return self._call(expr, frame)
        hint = "a formula is made of names, numbers and calls"
        self._error("FRL0251", _NOT_FORMULA[type(expr)], expr.span, frame, hint)
        return None

    def fits(self, term: Term, span: Span) -> bool:
        """Whether the slot can hold the term's axes, and can be differentiated where that is its use."""
        extra = without(term.axes, *self.slot.result)
        if not extra:
            return self._reaches(term, span)
        axes = extra[0] if len(extra) == 1 else show(extra)
        wanted = show(self.slot.result) if self.slot.result else "a scalar"
        self.scope.error(
            "FRL0248",
            f"`{self.slot_name}` has axes {show(term.axes)}, but the slot holds {wanted}",
            self.site,
            span,
            f"reduce {axes}, for instance by mean(..., over = {axes})",
        )
        return False

    def _reaches(self, term: Term, span: Span) -> bool:
        name = self.slot.through
        if name is None or depends_on(term, name):
            return True
        message = f"`{self.slot_name}` is differentiated with respect to {name}, and does not depend on it"
        self.scope.error("FRL0256", message, self.site, span, f"use {name} outside stop(...), for instance in Q(s, {name})")
        return False

    # --- leaves

    def _constant(self, expr: tree.Expr, value: float, frame: Frame) -> Term | None:
        try:
            fold(expr)
        except NotANumber as reason:
            self._error("FRL0224", f"this number has no value: {reason}", expr.span, frame)
            return None
        return Constant(float(value), span=self._here(expr.span, frame))

    def _name(self, name: str, expr: tree.Name, frame: Frame) -> Term | None:
        span = self._here(expr.span, frame)
        if frame.arguments is not None and name in frame.arguments:
            return frame.arguments[name]
        lets = frame.lets or {}
        parameter = self._parameters(frame).get(name)
        if name in self.slot.values:
            if name in lets or parameter is not None:
                return self._ambiguous(name, expr, frame)
            return Variable(name, self.slot.values[name], span)
        if name in lets:
            return self._let(lets[name], expr.span, frame)
        if parameter is not None:
            self.scope.use("param", parameter)
            return Variable(name, (), span)
        if name in self.slot.sizes:
            return Variable(name, (), span)
        self._unknown_name(name, expr, frame)
        return None

    def _parameters(self, frame: Frame) -> Mapping[str, Parameter]:
        """The algorithm's parameters; defaults and the standard library were written without knowing them."""
        foreign = self.site.default or (frame.define is not None and frame.define.span.file == self.scope.library)
        return {} if foreign else self.scope.parameters

    def _ambiguous(self, name: str, expr: tree.Name, frame: Frame) -> None:
        declared = "let" if name in (frame.lets or {}) else "param"
        message = f'"{name}" is both a {declared} and a value of `{self.slot_name}`'
        self._error("FRL0252", message, expr.span, frame, f"give the {declared} another name")

    def _let(self, let: tree.Let, use: Span, frame: Frame) -> Term | None:
        name = let.name.id
        self.scope.use("let", let)
        if name in frame.active or self._before(use, let.span):
            message = f'let "{name}" is used before it has a value'
            self._error("FRL0228", message, use, frame, f"it is given at {let.span}")
            return None
        if let.span not in self._lets:
            top = self.scope.lets.get(name) is let
            visible = self.scope.lets if top else frame.lets
            inner = Frame(lets=visible, active=(*frame.active, name))
            self._lets[let.span] = self.term(let.value, inner)
        value = self._lets[let.span]
        return None if value is None else Bound(name, value, value.axes, self._here(use, frame))

    def _before(self, use: Span, let: Span) -> bool:
        """Whether a use stands before the let; overrides of a task hold wherever they are written."""
        moved = any(inside(use, task.span) != inside(let, task.span) for task in self.scope.applied)
        return not moved and use.file == let.file and (use.line, use.column) < (let.end_line, let.end_column)

    def _unknown_name(self, name: str, expr: tree.Name, frame: Frame) -> None:
        if name in visible(self.slot) or name in PRIMITIVES or name in self.scope.defines or name == GRADIENT:
            self._error("FRL0240", f'"{name}" is a function, not a value', expr.span, frame, f"call it: {name}(...)")
            return
        seen = {*self.slot.values, *self.slot.sizes, *self.scope.parameters, *(frame.lets or {})}
        seen |= set(frame.arguments or ())
        if name in _values_of_slots() or name in functions():
            message = f'`{self.slot_name}` cannot see "{name}"'
            self._error("FRL0241", message, expr.span, frame, f"it sees {', '.join(sorted(seen))}")
        elif name in AXES:
            message = f'"{name}" is an axis, not a value'
            self._error("FRL0240", message, expr.span, frame, f"axes are named after `over`: mean(x, over = {name})")
        else:
            self._error("FRL0240", f'unknown name "{name}"', expr.span, frame, did_you_mean(name, seen))

    # --- calls

    def _call(self, call: tree.Call, frame: Frame) -> Term | None:
        name = call.function.id
        if name == GRADIENT:
            return self._gradient(call, frame)
        if name in PRIMITIVES:
            return self._primitive(PRIMITIVES[name], call, frame)
        if name in self.scope.defines:
            return self._define(self.scope.defines[name], call, frame)
        if name in visible(self.slot):
            return self._function(functions()[name], call, frame)
        self._unknown_function(name, call, frame)
        for argument in call.arguments:
            if argument.name is None:
                self.term(argument.value, frame)
        return None

    def _unknown_function(self, name: str, call: tree.Call, frame: Frame) -> None:
        span = call.function.span
        seen = list(visible(self.slot))
        if name in functions():
            sees = f"it sees {', '.join(seen)}" if seen else "it sees no function of the networks"
            self._error("FRL0241", f'`{self.slot_name}` cannot see "{name}"', span, frame, sees)
            return
        known = {*self.slot.values, *self.slot.sizes, *self.scope.parameters, *(frame.lets or {})}
        if name in known:
            self._error("FRL0242", f'"{name}" is a value, not a function', span, frame)
            return
        names = {*seen, *PRIMITIVES, *self.scope.defines, GRADIENT}
        close = nearest(name, names)
        hint = f'did you mean "{close}"?' if close else f"functions of `{self.slot_name}`: {', '.join(sorted(names))}"
        self._error("FRL0242", f'unknown function "{name}"', span, frame, hint)

    def _function(self, function: Function, call: tree.Call, frame: Frame) -> Term | None:
        here = self._here(call.span, frame)
        place = frame.call or call.span
        self.scope.required.append(Required(f"{function.name}(...)", function.needs, self.site, place))
        operands = self._positional(call, len(function.arguments), frame)
        if operands is None:
            return None
        values = [
            self._feature(function, position, operand, wanted, frame)
            for position, (operand, wanted) in enumerate(zip(operands, function.arguments, strict=True))
        ]
        if any(value is None for value in values):
            return None
        terms = tuple(value for value in values if value is not None)
        if not self._same_members(terms, call.span, frame):
            return None
        axes = union(without(union(*(t.axes for t in terms)), *function.drops), function.adds)
        return Operation(function.name, terms, axes, span=here)

    def _feature(self, function: Function, position: int, expr: tree.Expr, wanted: str | None, frame: Frame) -> Term | None:
        """One argument of a network function, which must have exactly the feature axis that the network reads."""
        term = self.term(expr, frame)
        if term is None:
            return None
        has = tuple(axis for axis in term.axes if axis in FEATURES)
        again = tuple(axis for axis in term.axes if axis in function.adds)
        place = f"argument {position + 1} of {function.name}"
        if has != ((wanted,) if wanted else ()):
            need = f"the axis {wanted}" if wanted else "no feature axis"
            message = f"{place} must have {need}, but has axes {show(term.axes)}"
            fitting = [name for name, axes in self.slot.values.items() if wanted in axes]
            self._error("FRL0244", message, expr.span, frame, _listed("values with that axis", fitting))
            return None
        if again:
            message = f"{place} already has the axis {again[0]}, which {function.name} adds"
            self._error("FRL0244", message, expr.span, frame, f"reduce {again[0]} first")
            return None
        return term

    def _positional(self, call: tree.Call, count: int, frame: Frame, names: tuple[str, ...] = ()) -> list[tree.Expr] | None:
        """The arguments of a function that takes ``count`` of them, and by name only those already taken: ``names``."""
        for argument in call.arguments:
            if argument.name is not None:
                message = f'{call.function.id} has no argument called "{argument.name.id}"'
                hint = did_you_mean(argument.name.id, names) if names else "its arguments are given in order"
                self._error("FRL0253", message, argument.name.span, frame, hint)
                return None
        if len(call.arguments) != count:
            for argument in call.arguments:
                self.term(argument.value, frame)
            given = len(call.arguments)
            message = f"{call.function.id} takes {_count(count)}, found {given}"
            self._error("FRL0243", message, call.span, frame, _alternative(call.function.id, given))
            return None
        return [argument.value for argument in call.arguments]

    # --- primitives

    def _primitive(self, primitive: Primitive, call: tree.Call, frame: Frame) -> Term | None:
        if primitive.kind == "elementwise":
            operands = self._positional(call, primitive.arity, frame)
            return None if operands is None else self._elementwise(primitive.name, tuple(operands), call.span, frame)
        if primitive.kind == "draw":
            return self._subset(call, frame)
        over, rest = self._split(call, "over", frame)
        operands = self._positional(rest, primitive.arity, frame, ("over",))
        values = [self.term(operand, frame) for operand in operands or ()]
        axes = None if over is None else self._axes(over, frame)
        terms = tuple(value for value in values if value is not None)
        if len(terms) < primitive.arity or (over is not None and axes is None):
            return None
        if primitive.kind == "along":
            return self._along(primitive, rest, terms, axes, over, frame)
        return self._reduction(primitive, call, terms[0], axes, over, frame)

    def _elementwise(self, name: str, operands: tuple[tree.Expr, ...], span: Span, frame: Frame) -> Term | None:
        values = [self.term(operand, frame) for operand in operands]
        terms = tuple(value for value in values if value is not None)
        if len(terms) < len(values) or not self._same_members(terms, span, frame):
            return None
        return Operation(name, terms, union(*(t.axes for t in terms)), span=self._here(span, frame))

    def _reduction(
        self, kind: Primitive, call: tree.Call, value: Term, axes: Axes | None, over: tree.Expr | None, frame: Frame
    ) -> Term | None:
        if axes is None and not value.axes:
            message = f"{kind.name} has nothing to reduce: its argument is already a scalar"
            self._error("FRL0254", message, call.span, frame)
            return None
        if axes is not None and not self._present(kind, value, axes, over, frame):
            return None
        rest = () if axes is None else without(value.axes, *axes)
        return Operation(kind.name, (value,), rest, over=axes or (), span=self._here(call.span, frame))

    def _along(
        self,
        kind: Primitive,
        call: tree.Call,
        values: tuple[Term, ...],
        axes: Axes | None,
        over: tree.Expr | None,
        frame: Frame,
    ) -> Term | None:
        """``call`` holds the arguments alone, ``values`` what they are."""
        value = values[0]
        if axes is None or len(axes) != 1:
            message = f"{kind.name} works along exactly one axis"
            likely = next((axis for axis in LIKELY if axis in value.axes), "")
            write = f": write {kind.name}(..., over = {likely})" if likely else ""
            hint = f"its argument has {', '.join(value.axes)}{write}" if value.axes else "its argument is already a scalar"
            self._error("FRL0247", message, (over or call).span, frame, hint)
            return None
        if not self._present(kind, value, axes, over, frame) or not self._readable(kind, call, values, axes, over, frame):
            return None
        return Operation(kind.name, values, value.axes, over=axes, span=self._here(call.span, frame))

    def _readable(
        self,
        kind: Primitive,
        call: tree.Call,
        values: tuple[Term, ...],
        axes: Axes,
        over: tree.Expr | None,
        frame: Frame,
    ) -> bool:
        """Whether the first argument has all axes that the function reads besides ``over``, and the others have none."""
        if axes[0] in kind.reads:
            message = f"{kind.name} cannot work along {axes[0]}, which holds the components of its points"
            self._error("FRL0247", message, (over or call).span, frame)
            return False
        fine = True
        for position, (argument, value) in enumerate(zip(call.arguments, values, strict=True)):
            missing = without(kind.reads, *value.axes) if position == 0 else ()
            if missing or (position and value.axes):
                need = f"the axis {missing[0]}" if missing else "no axes"
                message = f"argument {position + 1} of {kind.name} must have {need}, but has axes {show(value.axes)}"
                fitting = [name for name, has in self.slot.values.items() if missing and {*axes, *kind.reads} <= {*has}]
                hint = _listed("values with that axis", fitting) if missing else "reduce it, or use a parameter"
                self._error("FRL0244", message, argument.value.span, frame, hint)
                fine = False
        return fine

    def _subset(self, call: tree.Call, frame: Frame) -> Term | None:
        """``subset(q, n)``: the number is written out, since it is the length of an axis."""
        operands = self._positional(call, 2, frame)
        values = [self.term(operand, frame) for operand in operands or ()]
        if operands is None or values[0] is None or values[1] is None:
            return None
        q, count = values[0], values[1]
        if "ensemble" not in q.axes:
            message = f"subset draws members of an ensemble: its argument has axes {show(q.axes)}"
            self._error("FRL0246", message, operands[0].span, frame, "draw before reducing: min(subset(Q(s, a), 2), ...)")
            return None
        while isinstance(count, Bound):
            count = count.value
        if not isinstance(count, Constant) or not count.value.is_integer():
            hint = "it shapes the compiled program, so that neither a parameter nor arithmetic can stand here"
            message = f"subset takes a whole number of members, found {text_of(operands[1])}"
            self._error("FRL0213", message, operands[1].span, frame, hint)
            return None
        if not self._enough(q, int(count.value), operands[1].span, frame):
            return None
        return Operation("subset", (q, count), q.axes, span=self._here(call.span, frame))

    def _enough(self, q: Term, count: int, span: Span, frame: Frame) -> bool:
        """Whether so many members can be drawn; how many the whole ensemble has is known when all has been read."""
        drawn = members(q)
        if count < 1 or (drawn is not None and count > drawn):
            most = "" if drawn is None else f" and at most the {drawn} there are"
            self._error("FRL0214", f"subset takes at least 1 member{most}, found {count}", span, frame)
            return False
        if drawn is None:
            self.scope.subsets.append(Subset(count, self.site, frame.call or span))
        return True

    def _same_members(self, terms: tuple[Term, ...], span: Span, frame: Frame) -> bool:
        """Whether all values with an axis ``ensemble`` have as many members."""
        counts = list(dict.fromkeys(members(term) for term in terms if "ensemble" in term.axes))
        if len(counts) > 1:
            words = ["all members" if count is None else f"a subset of {count}" for count in counts]
            message = f"{words[0]} and {words[1]} of the ensemble meet, which have different lengths"
            self._error("FRL0257", message, span, frame, "reduce each over ensemble first")
        return len(counts) <= 1

    def _present(self, primitive: Primitive, value: Term, axes: Axes, over: tree.Expr | None, frame: Frame) -> bool:
        missing = without(axes, *value.axes)
        if missing and over is not None:
            message = f"{primitive.name} over {missing[0]}: its argument has axes {show(value.axes)}"
            hint = f"it can be reduced over {', '.join(value.axes)}" if value.axes else "its argument is already a scalar"
            self._error("FRL0246", message, over.span, frame, hint)
        return not missing

    def _axes(self, expr: tree.Expr, frame: Frame) -> Axes | None:
        """The axes named by ``over = particle`` or ``over = [ensemble, particle]``."""
        items = expr.items if isinstance(expr, tree.List) else (expr,)
        found: list[str] = []
        for item in items:
            if isinstance(item, tree.Name) and item.id in AXES and item.id not in found:
                found.append(item.id)
            elif isinstance(item, tree.Name) and item.id in found:
                self._error("FRL0245", f'axis "{item.id}" is named twice', item.span, frame)
            elif isinstance(item, tree.Name):
                self._error("FRL0245", f'unknown axis "{item.id}"', item.span, frame, did_you_mean(item.id, AXES))
            else:
                self._error("FRL0245", "expected the name of an axis", item.span, frame, f"axes: {', '.join(AXES)}")
        if not items:
            self._error("FRL0245", "expected the name of an axis", expr.span, frame, f"axes: {', '.join(AXES)}")
        return union(found) if found and len(found) == len(items) else None

    def _split(self, call: tree.Call, name: str, frame: Frame) -> tuple[tree.Expr | None, tree.Call]:
        """The value of one named argument, and the call without it."""
        own = [a for a in call.arguments if a.name is not None and a.name.id == name]
        for extra in own[1:]:
            self._error("FRL0253", f'argument "{name}" is given twice', extra.span, frame)
        rest = tuple(a for a in call.arguments if a not in own)
        return (own[0].value if own else None), replace(call, arguments=rest)

    # --- gradients

    def _gradient(self, call: tree.Call, frame: Frame) -> Term | None:
        wrt, rest = self._split(call, "wrt", frame)
        operands = self._positional(rest, 1, frame, ("wrt",))
        value = None if operands is None else self.term(operands[0], frame)
        variable = self._variable(wrt, call, frame)
        if value is None or variable is None or operands is None:
            return None
        rows = without(variable.axes, *FEATURES)
        extra = without(value.axes, *rows)
        if extra:
            message = f"grad needs one number for each of {show(rows)}, but its argument has axes {show(value.axes)}"
            hint = f"reduce {extra[0]} first, for instance by mean(..., over = {extra[0]})"
            self._error("FRL0249", message, operands[0].span, frame, hint)
            return None
        return Gradient(value, variable, variable.axes, self._here(call.span, frame))

    def _variable(self, wrt: tree.Expr | None, call: tree.Call, frame: Frame) -> Variable | None:
        values = ", ".join(self.slot.values)
        if wrt is None:
            message = "grad needs `wrt = ...`, the value to differentiate with respect to"
            self._error("FRL0250", message, call.span, frame, f"one of {values}")
            return None
        if isinstance(wrt, tree.Name):
            name = wrt.id
            given = frame.arguments.get(name) if frame.arguments is not None else None
            if isinstance(given, Variable) and given.name in self.slot.values:
                return given
            if name in self.slot.values and not (frame.arguments and name in frame.arguments):
                return Variable(name, self.slot.values[name], self._here(wrt.span, frame))
        found = f'"{wrt.id}"' if isinstance(wrt, tree.Name) else "an expression"
        message = f"`wrt` must be a value of `{self.slot_name}`, found {found}"
        hint = did_you_mean(wrt.id, self.slot.values) if isinstance(wrt, tree.Name) else f"one of {values}"
        self._error("FRL0250", message, wrt.span, frame, hint)
        return None

    # --- definitions

    def _define(self, define: tree.Define, call: tree.Call, frame: Frame) -> Term | None:
        name = define.name.id
        self.scope.use("def", define)
        if name in frame.active:
            message = f'def "{name}" calls itself'
            cycle = " -> ".join((*frame.active, name))
            self._error("FRL0228", message, call.span, frame, f"the definitions form a cycle: {cycle}")
            return None
        arguments = self._arguments(define, call, frame)
        if arguments is None:
            return None
        terms = {parameter: self.term(value, frame) for parameter, value in arguments.items()}
        if any(term is None for term in terms.values()):
            return None
        inner = Frame(terms, frame.call or call.span, define, None, (*frame.active, name))
        return self.term(define.value, inner)

    def _arguments(self, define: tree.Define, call: tree.Call, frame: Frame) -> dict[str, tree.Expr] | None:
        """The arguments of a call of a definition, by parameter; some may be given by name."""
        names = [p.id for p in define.parameters]
        found: dict[str, tree.Expr] = {}
        signature = f"{define.name.id}({', '.join(names)})"
        free = iter(names)
        for argument in call.arguments:
            name = argument.name.id if argument.name is not None else next(free, None)
            if name is None:
                message = f"{define.name.id} takes {_count(len(names))}, found {len(call.arguments)}"
                self._error("FRL0243", message, call.span, frame, f"it is defined as {signature}")
                return None
            if name not in names or name in found:
                what = "given twice" if name in found else "unknown"
                message = f'argument "{name}" of {define.name.id} is {what}'
                self._error("FRL0253", message, argument.span, frame, f"it is defined as {signature}")
                return None
            found[name] = argument.value
        if len(found) < len(names):
            message = f"{define.name.id} takes {_count(len(names))}, found {len(found)}"
            self._error("FRL0243", message, call.span, frame, f"it is defined as {signature}")
            return None
        return found

    # --- places

    def _here(self, span: Span, frame: Frame) -> Span:
        return self.site.at(frame.call or span)

    def _error(self, code: str, message: str, span: Span, frame: Frame, *notes: str) -> None:
        """Report at the span, or at the call of the definition that holds it."""
        if frame.call is None:
            self.scope.error(code, message, self.site, span, *notes)
            return
        define = frame.define
        where = "" if define is None else f'in def "{define.name.id}" at {define.span}: {text_of(define.value)}'
        self.scope.error(code, message, self.site, frame.call, *notes, where)


_NOT_FORMULA: dict[type, str] = {
    tree.String: "a formula holds no strings",
    tree.Boolean: "a formula holds no true or false: use 1 and 0",
    tree.List: "a formula holds no lists",
    tree.Arrow: "an arrow has no meaning in a formula",
    tree.From: "`from` has no meaning in a formula",
}


def _alternative(name: str, given: int) -> str:
    """A hint for ``min(x, y)``, which people write when they mean ``minimum(x, y)``."""
    other = {"min": "minimum", "max": "maximum"}.get(name)
    return f"{name} reduces axes of one value; for two values write {other}(x, y)" if other and given == 2 else ""


def _listed(what: str, names: list[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else ""


def _count(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"


def _values_of_slots() -> set[str]:
    """Names of the values that some slot of some component can see."""
    slots = (
        (language_of(field) or {}).get("slot")
        for members in families().values()
        for component in members.values()
        for field in component.model_fields.values()
    )
    return {name for slot in slots if slot is not None for name in (*slot.values, *slot.sizes)}
