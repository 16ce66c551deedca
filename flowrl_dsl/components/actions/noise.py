"""One sample of the policy with Gaussian noise."""

from __future__ import annotations

from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register


@register
class Noise(ActionChoice):
    """a = clip(sample + clip(N(0, scale^2), -bound, bound), -1, 1)."""

    name = "noise"

    scale: Scalar = option("standard deviation", None, NOT_NEGATIVE)
    clip: Scalar | None = option("bound on the noise; none for no bound", "none", POSITIVE)
