"""Random specs, valid by construction.

What may stand where is read off the registry: the fields of sections and components with their types, bounds and
defaults, and what components provide and require.  A component that somebody adds, in this package or a plugin, takes part
without a change here.
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

    An algorithm of one or two (``most_blocks``) weighted ``improve`` blocks, with parameters that are fixed, scheduled or
    learned, formulas with lets and definitions in their slots, and any order of its stages.  Networks are a few units wide,
    loops a few steps long, so that it compiles in seconds.  ``including`` asks for components by family, such as
    ``{"backbone": "diffusion", "mechanism": "selection"}``, which must fit together: each stands at the first place that is
    drawn for its family.
    """
    families()
    return SpecWriter(draw, dict(including or {}), most_blocks).spec()


__all__ = ["specs"]
