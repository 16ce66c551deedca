"""Midpoint steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.runge_kutta import RungeKutta
from flowrl_dsl.registry import register


@register
class Midpoint(RungeKutta):
    """``a_u = a_t + (u - t) v(a_t + (u - t)/2 v(a_t, t), (t + u)/2)``.

    Second order: two network calls per step.
    """

    name = "midpoint"
    paper: ClassVar[str] = "arXiv:2210.02747"
    order: ClassVar[int | None] = 2

    stages: ClassVar[tuple[tuple[float, ...], ...]] = ((), (0.5,))
    weights: ClassVar[tuple[float, ...]] = (0.0, 1.0)
