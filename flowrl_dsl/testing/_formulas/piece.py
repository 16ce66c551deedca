"""A part of a generated formula: its text, and the properties that the writer tracks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from flowrl_dsl.axes import Axes, union

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]
"""Draws a value of a strategy."""

LARGE = 1e3
"""The size assumed of values, networks and gradients; what grows beyond it is bounded."""
LARGEST_RESULT = 100.0
BOUNDED = (("tanh({0})", 1.0), ("clip({0}, -5, 5)", 5.0), ("({0} / (1 + abs({0})))", 1.0))
"""How a part is bounded, and to what."""


@dataclass(frozen=True)
class Piece:
    """A formula as text, its axes, a bound on its magnitude, and the values that a gradient reaches through it."""

    text: str
    axes: Axes = ()
    size: float = 1.0
    reads: frozenset[str] = frozenset()

    def __add__(self, other: Piece) -> Piece:
        text = f"({self.text} + {other.text})"
        return Piece(text, union(self.axes, other.axes), self.size + other.size, self.reads | other.reads)

    def wrapped(self, template: str, size: float | None = None, axes: Axes | None = None) -> Piece:
        return Piece(
            template.format(self.text),
            self.axes if axes is None else axes,
            self.size if size is None else size,
            self.reads,
        )


def listed(axes: Axes) -> str:
    """Axes as written after ``over``."""
    return axes[0] if len(axes) == 1 else f"[{', '.join(axes)}]"
