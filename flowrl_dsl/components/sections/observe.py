"""Section ``observe``: preprocessing of observations before all networks."""

from __future__ import annotations

from flowrl_dsl.components.base import Normalizer
from flowrl_dsl.components.section import Section
from flowrl_dsl.registry import option, register


@register
class Observe(Section):
    """Preprocessing of observations."""

    name = "observe"
    implied = True

    normalize: Normalizer | None = option("rescaling of observations", "none")
