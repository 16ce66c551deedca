"""Heun's steps along a velocity field."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def heun(velocity, a_0, times, clip=None):
    """a_u = a_t + (u - t)/2 (v(a_t, t) + v(a_t + (u - t) v(a_t, t), u)) for steps from t to u; the result is clipped."""

    def step(a, now):
        t, u = now
        start = velocity(a, t)
        end = velocity(a + (u - t) * start, u)
        return a + (u - t) / 2 * (start + end), None

    a, _ = jax.lax.scan(step, a_0, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class Heun(Sampler):
    """``a_u = a_t + (u - t)/2 (v(a_t, t) + v(a_t + (u - t) v(a_t, t), u))``.

    Second order: two network calls a step.
    """

    name = "heun"
    paper: ClassVar[str] = "arXiv:2206.00364"
    provides = frozenset({"flow_sampler"})
    requires = frozenset({"flow_field"})

    steps: int = Field(10, ge=1, description="steps K from noise to action")
    clip: Scalar | None = option("bound on the drawn action; none for no bound", "1.0", POSITIVE)

    kernel: ClassVar[str] = "heun"
    draws: ClassVar[bool] = False
