"""Explicit Euler steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.runge_kutta import RungeKutta
from flowrl_dsl.registry import register


@register
class Euler(RungeKutta):
    """``a_u = a_t + (u - t) v(a_t, t)``.

    First order: one network call per step.
    """

    name = "euler"
    paper: ClassVar[str] = "arXiv:2209.03003"
    order: ClassVar[int | None] = 1

    stages: ClassVar[tuple[tuple[float, ...], ...]] = ((),)
    weights: ClassVar[tuple[float, ...]] = (1.0,)
