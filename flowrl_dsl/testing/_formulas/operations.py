"""Parts that apply a primitive to other parts: elementwise, as a reduction over an axis, or along an axis.

The tables list safe calls of partial functions.
"""

from __future__ import annotations

from flowrl_dsl.axes import Axes, union, without
from flowrl_dsl.formula import OPERATORS, PRIMITIVES, Primitive
from flowrl_dsl.testing._formulas.calls import CallWriter
from flowrl_dsl.testing._formulas.piece import LARGE, Piece

_SAFE_UNARY: dict[str, tuple[str, float | None]] = {
    "exp": ("exp(clip({0}, -3, 3))", 20.1),
    "log": ("log(abs({0}) + 0.1)", 10.0),
    "sqrt": ("sqrt(square({0}) + 0.1)", None),
    "tanh": ("tanh({0})", 1.0),
    "sigmoid": ("sigmoid({0})", 1.0),
    "sign": ("sign({0} + 0.37)", 1.0),
}
"""How a function of one value is written, and the size of its result; None for its operand's."""
_SAFE_BINARY = {
    "add": ("({0} + {1})", lambda x, y: x + y),
    "sub": ("({0} - {1})", lambda x, y: x + y),
    "mul": ("({0} * {1})", lambda x, y: x * y),
    "div": ("({0} / (abs({1}) + 0.5))", lambda x, y: 2 * x),
    "pow": ("((abs({0}) + 0.5)^clip({1}, -2, 2))", lambda x, y: (x + 0.5) ** 2 + 4),
}
_SMOOTH_ALONG = ("softmax", "log_softmax")
"""Functions along an axis whose gradients reach their argument everywhere."""
_STEPS = ("lt", "le", "gt", "ge", "eq", "ne")
_WRITTEN = {name: operator for operator, name in OPERATORS.items()}


class OperationWriter(CallWriter):
    """Writes operations on other parts as well."""

    def _unary(self, allowed: Axes, depth: int) -> Piece:
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 1]
        name = self._one_of(names)
        return self._applied(name, self._steady(allowed) if name == "sign" else self.piece(allowed, depth - 1))

    def _applied(self, name: str, piece: Piece) -> Piece:
        if name == "stop":
            return Piece(f"stop({piece.text})", piece.axes, piece.size)
        if name == "neg":
            return piece.wrapped("(-{0})")
        if name == "square":
            piece = self._limited(piece, 30.0)
            return piece.wrapped("square({0})", piece.size**2)
        template, size = _SAFE_UNARY.get(name, (name + "({0})", None))
        return piece.wrapped(template, piece.size + 1 if size is None else size)

    def _binary(self, allowed: Axes, depth: int) -> Piece:
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 2]
        name = self._one_of(names)
        if name in _STEPS:
            piece = self._steady(allowed)
            return Piece(f"({piece.text} {_WRITTEN[name]} {self._one_of(('0.37', '-0.21', '0.83'))})", piece.axes, 1.0)
        left, right = self.piece(allowed, depth - 1), self.piece(allowed, depth - 1)
        if name in ("mul", "pow"):
            left, right = self._limited(left, 30.0), self._limited(right, 30.0)
        template, size = _SAFE_BINARY.get(name, (name + "({0}, {1})", max))
        text = template.format(left.text, right.text)
        return Piece(text, union(left.axes, right.axes), size(left.size, right.size), left.reads | right.reads)

    def _choice(self, allowed: Axes, depth: int) -> Piece:
        """A function of three values: ``where`` and similar functions select by a comparison, the others clip."""
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 3]
        name = self._one_of(names)
        first = self.piece(allowed, depth - 1)
        if name == "clip":
            low, high = sorted((self._one_of(("-2", "-0.5", "0")), self._one_of(("0.25", "1", "3"))), key=float)
            return first.wrapped(f"clip({{0}}, {low}, {high})", 3.0)
        condition, other = self._steady(allowed), self.piece(allowed, depth - 1)
        text = f"{name}({condition.text} > 0.37, {first.text}, {other.text})"
        axes = union(condition.axes, first.axes, other.axes)
        return Piece(text, axes, max(first.size, other.size), first.reads | other.reads)

    def _reduced(self, allowed: Axes, depth: int) -> Piece:
        axis = self._one_of(sorted(self._available() - set(allowed)))
        inner = self.exactly(union(allowed, (axis,)) if self._perhaps() else (axis,), depth - 1)
        return self._reduction(inner, without(inner.axes, *without(allowed, axis)))

    def _along(self, allowed: Axes, depth: int) -> Piece:
        axis = self._one_of(sorted(self._available() & set(allowed)))
        along = {name: primitive for name, primitive in PRIMITIVES.items() if primitive.kind == "along"}
        primitive = along[self._one_of(along)]
        smooth = primitive.name in _SMOOTH_ALONG
        if smooth:
            inner = self._limited(self._joined(self.carrier(axis, allowed, depth - 1), allowed, depth - 1), 50.0)
        else:
            inner = self.carrier(axis, allowed, 0)
        arguments = [inner.text, *(self._positive().text for _ in range(primitive.arity - 1))]
        text = f"{primitive.name}({', '.join(arguments)}, over = {axis})"
        piece = Piece(text, inner.axes, max(inner.size, 8.0) * 2, inner.reads if smooth else frozenset())
        return self._fitted(piece, allowed)

    def _towards(self, allowed: Axes, depth: int) -> Piece:
        """A function of one point and many: the point is a value without the axis of the points, or their mean."""
        primitive, name, axis = self._one_of(self._points())
        many = self._value(name)
        alone = [n for n, axes in self.slot.values.items() if {*primitive.reads} <= {*axes} and axis not in axes]
        if alone and self._perhaps():
            one = self._value(self._one_of(alone))
        else:
            one = many.wrapped(f"mean({{0}}, over = {axis})", axes=without(many.axes, axis))
        arguments = [one.text, many.text, *(self._positive().text for _ in range(primitive.arity - 2))]
        text = f"{primitive.name}({', '.join(arguments)}, over = {axis})"
        axes = without(union(one.axes, many.axes), axis)
        return self._fitted(Piece(text, axes, 2 * LARGE, one.reads | many.reads), allowed)

    def _points(self) -> list[tuple[Primitive, str, str]]:
        """Functions of points, values that hold points, and the axes that index the points."""
        return [
            (primitive, name, axis)
            for primitive in PRIMITIVES.values()
            for name, axes in self.slot.values.items()
            for axis in axes
            if primitive.kind == "towards" and {*primitive.reads} <= {*axes} - {axis}
        ]
