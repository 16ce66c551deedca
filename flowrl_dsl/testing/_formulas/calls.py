"""Parts that call networks, and parts that must have some axes or depend on some value."""

from __future__ import annotations

from flowrl_dsl.axes import Axes, ordered, union, without
from flowrl_dsl.formula import Function
from flowrl_dsl.registry import visible
from flowrl_dsl.spec import typecheck
from flowrl_dsl.testing._formulas.leaves import LeafWriter
from flowrl_dsl.testing._formulas.piece import LARGE, Piece, listed

SOME_TIME = "0.25"
OF_A_DRAW = frozenset({"draw_log_prob"})
"""Functions of nothing but the action that a slot differentiates through, which has just been drawn."""


class CallWriter(LeafWriter):
    """Writes calls of networks as well."""

    def _functions(self) -> list[Function]:
        known = (function for name, function in visible(self.slot).items() if name not in OF_A_DRAW)
        return [f for f in known if f.needs in self.capabilities and all(self._arguments(f))]

    def _arguments(self, function: Function) -> list[list[str]]:
        """The admissible values of each argument; a number where no features are needed."""
        return [
            [n for n, axes in self.slot.values.items() if set(axes) & set(typecheck.FEATURES) == ({want} if want else set())]
            + ([] if want else [SOME_TIME])
            for want in function.arguments
        ]

    def _available(self) -> set[str]:
        """The axes of the values and functions in the slot."""
        found = {axis for axes in self.slot.values.values() for axis in axes}
        return found.union(*(function.adds for function in self._functions()))

    def _called(self, function: Function, reading: str | None = None, own: bool = False) -> Piece:
        """A call of a network; one of its arguments is the value ``reading`` if its type fits.

        With ``own`` it reads the parameters of the formula's own section, otherwise now and then those of a copy.
        """
        arguments = []
        for names in self._arguments(function):
            name = reading if reading in names else self._one_of(names)
            piece = self._value(name)
            features = set(piece.axes) & set(typecheck.FEATURES)
            if self._perhaps() and features:
                piece = piece.wrapped(self._one_of(("tanh({0})", "clip({0}, -2, 2)", "(0.5 * {0})")))
            arguments.append(piece)
        axes = union(without(union(*(a.axes for a in arguments)), *function.drops), function.adds)
        reads = frozenset().union(*(a.reads for a in arguments))
        text = f"{function.name}({', '.join(a.text for a in arguments)})"
        copies = self.copies.get(function.name, ())
        if copies and not own and self._perhaps():
            text = f"({text} from {self._one_of(copies)})"
        return Piece(text, axes, LARGE, reads)

    def _carried(self, allowed: Axes, depth: int) -> Piece:
        """A value of a network, or one of the slot's, reduced to the allowed axes."""
        functions = self._functions()
        if functions:
            return self._fitted(self._called(self._one_of(functions)), allowed)
        return self._steady(allowed)

    def carrier(self, axis: str, allowed: Axes, depth: int) -> Piece:
        """A part that has the axis, and otherwise only allowed axes."""
        values = [self._value(name) for name, axes in self.slot.values.items() if axis in axes]
        calls = [f for f in self._functions() if axis in f.adds or any(axis in v.axes for v in values)]
        made = [lambda value=value: value for value in values] + [lambda f=f: self._called(f) for f in calls]
        kept = union(allowed, (axis,))
        piece = self._one_of(made)()
        if axis not in piece.axes:  # a call that reduces the axis
            piece = values[0] if values else piece
        return self._fitted(piece, kept)

    def exactly(self, axes: Axes, depth: int) -> Piece:
        """A part with exactly these axes, which must be available."""
        piece = self.piece(axes, depth)
        for axis in without(axes, *piece.axes):
            piece += self.carrier(axis, axes, depth - 1)
        return self._limited(piece)

    def _joined(self, piece: Piece, allowed: Axes, depth: int) -> Piece:
        """The piece, optionally plus another one; all its axes are kept."""
        if depth <= 0 or not self._perhaps():
            return piece
        return piece + self.piece(allowed, depth - 1)

    def _depending_on(self, name: str, allowed: Axes, depth: int) -> Piece:
        """A smooth part that depends on the value, reduced to the allowed axes by a smooth reduction."""
        calls = [f for f in self._functions() if any(name in names for names in self._arguments(f))]
        piece = self._called(self._one_of(calls), name) if calls and self._perhaps() else self._value(name)
        if not calls or piece.text == name:
            piece = piece.wrapped(self._one_of(("tanh({0})", "square(tanh({0}))", "({0} / (1 + abs({0})))")), 1.0)
        extra = without(piece.axes, *allowed)
        if extra:
            piece = self._some_members(piece) if "ensemble" in extra else piece
            reduction = self._one_of(("mean", "min", "max"))
            piece = piece.wrapped(f"{reduction}({{0}}, over = {listed(extra)})", axes=without(piece.axes, *extra))
        return self._joined(piece, ordered(set(allowed)), depth)
