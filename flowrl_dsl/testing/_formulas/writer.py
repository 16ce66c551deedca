"""Whole formulas of a slot: operations, gradients, names and definitions, down to leaves."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st

from flowrl_dsl.axes import Axes, union, without
from flowrl_dsl.formula import Slot
from flowrl_dsl.registry import functions
from flowrl_dsl.spec import typecheck
from flowrl_dsl.testing._formulas.calls import OF_A_DRAW
from flowrl_dsl.testing._formulas.library import Signature, is_total, library
from flowrl_dsl.testing._formulas.operations import OperationWriter
from flowrl_dsl.testing._formulas.piece import LARGE, LARGEST_RESULT, Piece


class FormulaWriter(OperationWriter):
    """Writes formulas of one slot."""

    def formula(self, depth: int = 3) -> str:
        """A formula that fits the slot and depends on the required value, or on an action if there is one."""
        allowed = tuple(axis for axis in self.slot.result if axis in self._available())
        piece = self.piece(allowed, depth)
        through = self.slot.through
        if {*through} & functions().keys():
            called = [f for f in self._functions() if f.name in through]
            if not called:  # the policy has none of these functions
                return reject()
            fitted = self._called(self._one_of(called), own=True)
            return self._limited(piece + self._fitted(fitted, allowed), LARGEST_RESULT).text
        actions = [name for name, axes in self.slot.values.items() if "action" in axes]
        wanted = [name for name in through if name in self.slot.values] or actions or list(self.slot.values)
        if wanted and not piece.reads & set(wanted):
            piece += self._depending_on(self._one_of(wanted), allowed, 1)
        for name in sorted(OF_A_DRAW & {*self.slot.functions}):
            if through and functions()[name].needs in self.capabilities and self._perhaps():
                piece += Piece(f"clip({name}(s, {through[0]}), -5, 5)", ("batch",), 5.0)
        return self._limited(piece, LARGEST_RESULT).text

    def piece(self, allowed: Axes, depth: int) -> Piece:
        """Any formula whose axes are among the allowed ones."""
        if depth <= 0:
            return self._leaf(allowed)
        makers = [self._leaf, self._unary, self._binary, self._binary, self._choice, self._carried, self._carried]
        if self._available() - set(allowed):
            makers.append(self._reduced)
        if self._available() & set(allowed):
            makers += [self._along, self._along]
        if self._points():
            makers.append(self._towards)
        if self.differentiates and any(set(axes) <= set(allowed) for axes in self.slot.values.values()):
            makers.append(self._gradient)
        if self._signatures(allowed):
            makers.append(self._library)
        if self.bind is not None:
            makers.append(self._let)
        if self.define is not None:
            makers.append(self._defined)
        return self._limited(self._one_of(makers)(allowed, depth))

    def _gradient(self, allowed: Axes, depth: int) -> Piece:
        name = self._one_of([n for n, axes in self.slot.values.items() if set(axes) <= set(allowed)])
        axes = self.slot.values[name]
        inner = self._depending_on(name, without(axes, *typecheck.FEATURES), depth - 1)
        return Piece(f"grad({inner.text}, wrt = {name})", axes, LARGE, inner.reads)

    def _let(self, allowed: Axes, depth: int) -> Piece:
        assert self.bind is not None
        piece = self.piece(allowed, depth - 1)
        named = Piece(self.bind(piece), piece.axes, piece.size, piece.reads)
        self.bound.append(named)
        return named

    def _defined(self, allowed: Axes, depth: int) -> Piece:
        """A call of a newly generated definition, which uses all its arguments."""
        assert self.define is not None
        arguments = [self.piece(allowed, depth - 1) for _ in range(self.draw(st.integers(1, 2)))]
        names = ["x", "y"][: len(arguments)]
        inside = Slot(result=allowed, values={n: a.axes for n, a in zip(names, arguments, strict=True)})
        body = FormulaWriter(self.draw, inside, (), differentiates=False).piece(allowed, 1)
        text = " + ".join([f"({body.text})", *(f"0.5 * {name}" for name in names)])
        called = f"{self.define(names, text)}({', '.join(a.text for a in arguments)})"
        axes = union(body.axes, *(a.axes for a in arguments))
        return Piece(called, axes, body.size * LARGE, frozenset().union(*(a.reads for a in arguments)))

    def _signatures(self, allowed: Axes) -> list[Signature]:
        have = self._available()
        return [s for s in library() if set(s.axes) <= set(allowed) and all(set(a) <= have for a in s.arguments)]

    def _library(self, allowed: Axes, depth: int) -> Piece:
        """A call of the standard library: its first argument is any part, numbers without axes are positive."""
        signature = self._one_of(self._signatures(allowed))
        if not is_total(signature):
            return self._binary(allowed, depth)
        pieces = [
            self._limited(self.exactly(axes, depth - 1), 50.0) if axes else self._positive() for axes in signature.arguments
        ]
        text = f"{signature.name}({', '.join(p.text for p in pieces)})"
        return Piece(text, signature.axes, LARGE + 1, frozenset().union(*(p.reads for p in pieces)))
