"""Explicit Euler steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def euler(velocity, a_0, times, clip=None):
    """a_u = a_t + (u - t) v(a_t, t) for each step from time t to u; the result is clipped."""

    def step(a, now):
        t, u = now
        return a + (u - t) * velocity(a, t), None

    a, _ = jax.lax.scan(step, a_0, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class Euler(Sampler):
    """``a_u = a_t + (u - t) v(a_t, t)``.

    First order: one network call a step.
    """

    name = "euler"
    paper: ClassVar[str] = "arXiv:2209.03003"
    provides = frozenset({"flow_sampler"})
    requires = frozenset({"flow_field"})

    steps: int = Field(10, ge=1, description="steps K from noise to action")
    clip: Scalar | None = option("bound on the drawn action; none for no bound", "1.0", POSITIVE)

    kernel: ClassVar[str] = "euler"
    draws: ClassVar[bool] = False
