"""The smallest parts of a formula, and the reduction of a part to the allowed axes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from flowrl_dsl.axes import Axes, without
from flowrl_dsl.formula import PRIMITIVES, Slot
from flowrl_dsl.testing._formulas.piece import BOUNDED, LARGE, Draw, Piece, T, listed

NUMBERS = ("0.25", "0.5", "1", "1.5", "2", "0.1")


@dataclass
class LeafWriter(ABC):
    """Writes numbers, names and reductions of one slot.

    ``capabilities`` determines which network functions may be called.  ``parameter`` returns the name of a positive
    parameter, ``bind`` binds a part with a let and returns its name, ``define`` turns a template over arguments into a
    definition and returns its name; each may be None.  If ``differentiates`` is false, no ``grad`` is written.  ``members``
    is the size of the critic's ensemble, if known.  ``copies`` has the copies that each function may read.
    """

    draw: Draw
    slot: Slot
    capabilities: Collection[str]
    parameter: Callable[[], str] | None = None
    bind: Callable[[Piece], str] | None = None
    define: Callable[[list[str], str], str] | None = None
    bound: list[Piece] = field(default_factory=list)
    differentiates: bool = True
    members: int = 1
    copies: Mapping[str, Collection[str]] = field(default_factory=dict)

    @abstractmethod
    def piece(self, allowed: Axes, depth: int) -> Piece:
        """Any formula whose axes are among the allowed ones; ``depth`` bounds the nesting depth."""

    def _one_of(self, options: Collection[T]) -> T:
        return self.draw(st.sampled_from(list(options)))

    def _perhaps(self) -> bool:
        return self.draw(st.booleans())

    def _limited(self, piece: Piece, limit: float = LARGE) -> Piece:
        if piece.size <= limit:
            return piece
        template, size = self._one_of(BOUNDED)
        return piece.wrapped(template, size)

    def _leaf(self, allowed: Axes, depth: int = 0) -> Piece:
        leaves: list[Callable[[], Piece]] = [self._number]
        if self.parameter is not None:
            leaves.append(self._parameter)
        if self.slot.sizes:
            leaves.append(lambda: Piece(self._one_of(self.slot.sizes), (), 8.0))
        known = [piece for piece in self.bound if set(piece.axes) <= set(allowed)]
        if known:
            leaves.append(lambda: self._one_of(known))
        if self.slot.values:
            leaves += [lambda: self._variable(allowed)] * 3
        return self._one_of(leaves)()

    def _number(self) -> Piece:
        text = self._one_of(NUMBERS)
        return Piece(text, (), float(text))

    def _parameter(self) -> Piece:
        assert self.parameter is not None
        return Piece(self.parameter(), (), 5.0)

    def _positive(self) -> Piece:
        return self._parameter() if self.parameter is not None and self._perhaps() else self._number()

    def _value(self, name: str) -> Piece:
        if name not in self.slot.values:
            return Piece(name, (), float(name))
        return Piece(name, self.slot.values[name], LARGE, frozenset({name}))

    def _variable(self, allowed: Axes) -> Piece:
        return self._fitted(self._value(self._one_of(self.slot.values)), allowed)

    def _steady(self, allowed: Axes) -> Piece:
        """A part without exact cancellation, so that rounding does not trigger the jumps of discontinuous functions."""
        return self._variable(allowed) if self.slot.values else self._number()

    def _fitted(self, piece: Piece, allowed: Axes) -> Piece:
        """The piece, reduced over the axes that are not allowed."""
        extra = without(piece.axes, *allowed)
        return self._reduction(piece, extra) if extra else piece

    def _some_members(self, piece: Piece) -> Piece:
        """Optionally a subset of the members, reduced at once, since it cannot be combined with the whole ensemble."""
        if not self._perhaps():
            return piece
        return piece.wrapped(f"subset({{0}}, {self.draw(st.integers(1, self.members))})")

    def _one_member(self, piece: Piece) -> Piece:
        n = self.draw(st.integers(1, self.members))
        return piece.wrapped(f"member({{0}}, {n})", axes=without(piece.axes, "ensemble"))

    def _reduction(self, piece: Piece, over: Axes) -> Piece:
        if over == ("ensemble",) and self._perhaps() and self._perhaps():
            return self._one_member(piece)
        piece = self._some_members(piece) if "ensemble" in over else piece
        names = [name for name, primitive in PRIMITIVES.items() if primitive.kind == "reduction"]
        name = self._one_of(names)
        rest = without(piece.axes, *over)
        named = f"{name}({piece.text}, over = {listed(over)})"
        text = f"{name}({piece.text})" if not rest and self._perhaps() else named
        grows = 8.0 ** len(over) if name in ("sum", "norm", "count") else 1.0
        reads = frozenset() if name == "count" else piece.reads
        return self._limited(Piece(text, rest, max(piece.size, 1.0) * grows + 10, reads))
