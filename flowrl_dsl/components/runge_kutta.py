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
    """a + length sum_i w_i k_i; a slope of weight 0 is skipped."""
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

    A subclass is its Butcher tableau: ``stages`` contains the rows a_i, with one number per previous stage in row i,
    and ``weights`` the b; the times follow from c_i = sum_j a_ij.  The global error decreases as h^``order``.  The weights
    sum to 1, so every method is exact on straight paths.
    """

    provides = frozenset({"flow_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"flow_field"})
    kernel: ClassVar[str] = "runge_kutta"
    draws: ClassVar[bool] = False

    stages: ClassVar[tuple[tuple[float, ...], ...]]
    weights: ClassVar[tuple[float, ...]]
    order: ClassVar[int | None]

    steps: int = Field(10, ge=1, description="steps K from noise to action")
    clip: Scalar | None = option("bound on the sampled action; none for unbounded", "1.0", POSITIVE)

    def constants(self) -> dict[str, Expr]:
        return {"stages": Literal(self.stages), "weights": Literal(self.weights)}
