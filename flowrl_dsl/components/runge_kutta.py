"""Explicit Runge-Kutta steps along a velocity field; a method is its tableau."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import Expr, Literal, kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option


@kernel
def moved(a, length, weights, slopes):
    """a + length sum_i w_i k_i; a slope of weight 0 costs nothing."""
    terms = [weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight]
    return a + length * sum(terms[1:], terms[0]) if terms else a


@kernel
def runge_kutta(velocity, a_0, times, stages, weights, clip=None):
    """a_u = a_t + h sum_i b_i k_i, k_i = v(a_t + h sum_j a_ij k_j, t + c_i h), for each step from t to u = t + h; clipped.

    ``stages`` has the rows a_i of the tableau, ``weights`` its b; c_i = sum_j a_ij.
    """

    def step(a, now):
        t, u = now
        slopes = []
        for row in stages:
            c = sum(row)
            slopes.append(velocity(moved(a, u - t, row, slopes), (1 - c) * t + c * u))
        return moved(a, u - t, weights, slopes), None

    a, _ = jax.lax.scan(step, a_0, (times[:-1], times[1:]))
    return a if clip is None else jnp.clip(a, -clip, clip)


class RungeKutta(Sampler):
    """``a_u = a_t + h sum_i b_i k_i`` with ``k_i = v(a_t + h sum_j a_ij k_j, t + c_i h)`` and ``h = u - t``.

    A subclass is its Butcher tableau: ``stages`` holds the rows a_i, row i one number for each stage before it, and
    ``weights`` the b; c_i = sum_j a_ij, so that the rows need no times of their own.  The global error falls as h^``order``.
    Of velocities that do not depend on a, the sum of the weights, 1, makes every method exact on straight paths.
    """

    provides = frozenset({"flow_sampler"})
    requires = frozenset({"flow_field"})
    kernel: ClassVar[str] = "runge_kutta"
    draws: ClassVar[bool] = False

    stages: ClassVar[tuple[tuple[float, ...], ...]]
    weights: ClassVar[tuple[float, ...]]
    order: ClassVar[int | None]

    steps: int = Field(10, ge=1, description="steps K from noise to action")
    clip: Scalar | None = option("bound on the drawn action; none for no bound", "1.0", POSITIVE)

    def constants(self) -> dict[str, Expr]:
        return {"stages": Literal(self.stages), "weights": Literal(self.weights)}
