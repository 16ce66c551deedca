"""Random formulas, well typed by named axes and kept to finite values by interval arithmetic.

A formula is generated for its slot.  Every part carries its axes, a bound on its magnitude, and the values that a gradient
can reach through it.  The available functions, values and definitions are looked up in the language.  The writer is layered;
each layer builds on the parts of the layers below: leaves, calls, operations, formulas.
"""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from flowrl_dsl.capabilities import CAPABILITIES
from flowrl_dsl.formula import Slot
from flowrl_dsl.testing._formulas.piece import Draw, Piece
from flowrl_dsl.testing._formulas.writer import FormulaWriter


@st.composite
def formulas(draw: Draw, slot: Slot, capabilities: Collection[str] = tuple(CAPABILITIES), depth: int = 3) -> str:
    """Well-typed formulas of a slot, as text.

    Every formula fits the slot's axes, calls networks only where ``capabilities`` provide them, and depends on the
    variable that the slot is differentiated by, or else on a value with an axis ``action`` (if there is none, on any value).
    For inputs of magnitude up to 1000 its value and its gradient are finite.  It uses only names of the slot.
    """
    return FormulaWriter(draw, slot, capabilities).formula(depth)


__all__ = ["Draw", "FormulaWriter", "Piece", "formulas"]
