"""Heun's steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.runge_kutta import RungeKutta
from flowrl_dsl.registry import register


@register
class Heun(RungeKutta):
    """``a_u = a_t + (u - t)/2 (v(a_t, t) + v(a_t + (u - t) v(a_t, t), u))``.

    Second order: two network calls per step.
    """

    name = "heun"
    paper: ClassVar[str] = "arXiv:2206.00364"
    order: ClassVar[int | None] = 2

    stages: ClassVar[tuple[tuple[float, ...], ...]] = ((), (1.0,))
    weights: ClassVar[tuple[float, ...]] = (0.5, 0.5)
