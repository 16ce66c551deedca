"""Random specs, valid by construction.

The grammar is derived from the registry: the fields of sections and components with their types, bounds and defaults, and
the capabilities that components provide and require.  A new component, in this package or a plugin, is included without a
change here.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from flowrl_dsl.registry import families
from flowrl_dsl.testing._formulas import Draw
from flowrl_dsl.testing._specs.writer import SpecWriter


@st.composite
def specs(draw: Draw, including: Mapping[str, str] | None = None, most_blocks: int = 2) -> str:
    """Texts of valid specs over all registered components, plugins included.

    Each algorithm has one or two (``most_blocks``) weighted ``improve`` blocks, parameters that are fixed, scheduled or
    learned, formulas with lets and definitions in their slots, and any order of its stages.  Networks are a few units wide
    and loops a few steps long, so that it compiles in seconds.  ``including`` requests components by family, such as
    ``{"backbone": "diffusion", "mechanism": "selection"}``, which must be compatible: each is used at the first position
    drawn for its family.
    """
    families()
    return SpecWriter(draw, dict(including or {}), most_blocks).spec()


__all__ = ["specs"]
