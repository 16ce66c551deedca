"""Random formulas, well typed by named axes and kept to finite values by interval arithmetic.

A formula grows from its slot: every part knows its axes, a bound of its size, and the values that a gradient can reach
through it.  Which functions, values and definitions there are is asked of the language.  The writer comes in layers, each of
which writes parts out of those of the layers before: leaves, calls, operations, formulas.
"""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from flowrl_dsl.formula import Slot
from flowrl_dsl.registry import CAPABILITIES
from flowrl_dsl.testing._formulas.piece import Draw, Piece
from flowrl_dsl.testing._formulas.writer import FormulaWriter


@st.composite
def formulas(draw: Draw, slot: Slot, capabilities: Collection[str] = tuple(CAPABILITIES), depth: int = 3) -> str:
    """Well-typed formulas of a slot, as text.

    Every formula fits the slot's axes, calls networks only where ``capabilities`` provide them, and depends on what the
    slot is differentiated by, or else on a value with an axis ``action`` (where there is none, on any value).  For inputs of
    a size up to a thousand its value and its gradient are finite.  It names nothing outside the slot.
    """
    return FormulaWriter(draw, slot, capabilities).formula(depth)


__all__ = ["Draw", "FormulaWriter", "Piece", "formulas"]
