"""Ralston's steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.runge_kutta import RungeKutta
from flowrl_dsl.registry import register


@register
class Ralston(RungeKutta):
    """``a_u = a_t + (u - t) (v(a_t, t)/4 + 3/4 v(a_t + 2/3 (u - t) v(a_t, t), t + 2/3 (u - t)))``.

    Second order, with the least bound on the error of one step among methods of two stages: two network calls a step.
    """

    name = "ralston"
    paper: ClassVar[str] = "doi:10.1090/S0025-5718-1962-0150954-0"
    order: ClassVar[int | None] = 2

    stages: ClassVar[tuple[tuple[float, ...], ...]] = ((), (2 / 3,))
    weights: ClassVar[tuple[float, ...]] = (0.25, 0.75)
