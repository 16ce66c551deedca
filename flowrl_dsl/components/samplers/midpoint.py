"""Midpoint steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def midpoint(velocity, a_0, times, clip=None):
    """a_u = a_t + (u - t) v(a_t + (u - t)/2 v(a_t, t), (t + u)/2) for each step from time t to u; the result is clipped."""

    def step(a, now):
        t, u = now
        half = a + (u - t) / 2 * velocity(a, t)
        return a + (u - t) * velocity(half, (t + u) / 2), None

    a, _ = jax.lax.scan(step, a_0, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class Midpoint(Sampler):
    """``a_u = a_t + (u - t) v(a_t + (u - t)/2 v(a_t, t), (t + u)/2)``.

    Second order: two network calls a step.
    """

    name = "midpoint"
    paper: ClassVar[str] = "arXiv:2210.02747"
    provides = frozenset({"flow_sampler"})
    requires = frozenset({"flow_field"})

    steps: int = Field(10, ge=1, description="steps K from noise to action")
    clip: Scalar | None = option("bound on the drawn action; none for no bound", "1.0", POSITIVE)

    kernel: ClassVar[str] = "midpoint"
    draws: ClassVar[bool] = False
