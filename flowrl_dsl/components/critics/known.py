"""Exact action values: functions of two action components with several good regions, for experiments."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Critic, Future
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Dictionary, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register


@kernel
def bumps(a, centres, weights, width):
    """log sum_i w_i exp(-|a - c_i|^2 / (2 width^2)) over the first two components of the action."""
    square = jnp.sum(jnp.square(a[..., None, :2] - centres), axis=-1)
    return jax.nn.logsumexp(jnp.log(weights) - square / (2 * width**2), axis=-1)


@kernel
def known_value(a, shape):
    """The logarithm of an unnormalised density on [-1, 1]^2.

    ring: eight equal bumps on a circle.  moons: two interleaved arcs.  uneven: four bumps of shares 0.4, 0.3, 0.2, 0.1.
    checkerboard: sixteen fields, every other one good.
    """
    if shape == "checkerboard":
        return 2 * jnp.tanh(3 * jnp.sin(2 * jnp.pi * a[..., 0]) * jnp.sin(2 * jnp.pi * a[..., 1]))
    if shape == "uneven":
        corners = jnp.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
        return bumps(a, corners, jnp.array([0.4, 0.3, 0.2, 0.1]), 0.12)
    if shape == "ring":
        angle = 2 * jnp.pi * jnp.arange(8) / 8
        return bumps(a, 0.7 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1), jnp.ones(8), 0.1)
    angle = jnp.pi * jnp.arange(13) / 12
    arc = 0.5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    moons = jnp.concatenate([arc + jnp.array([-0.25, -0.15]), -arc + jnp.array([0.25, 0.15])])
    return bumps(a, moons, jnp.ones(26), 0.08)


@kernel
def known_ensemble(a, shape, height, members):
    """height times the known value, the same for every member: [members, ...]."""
    value = height * known_value(a, shape)
    return jnp.broadcast_to(value, (members, *value.shape))


@register
class Known(Critic):
    """``Q(s, a) = height log p(a)`` for a given density p on [-1, 1]^2; nothing is learned.

    At temperature ``height`` the best policy that maximises ``E[Q] + temperature * entropy`` is p itself, so the
    policy learned by an algorithm can be compared with the exact solution.  Reads the first two components of the action.
    """

    name = "known"
    provides = frozenset({"q_value"})
    trains: ClassVar[bool] = False

    shape: Literal["ring", "moons", "uneven", "checkerboard"] = Field("ring", description="which density")
    height: float = Field(0.1, gt=0, description="factor of the log-density")

    def exact(self, a: jax.Array) -> jax.Array:
        """Q of actions [..., A] outside of a graph: [...]."""
        value: jax.Array = self.height * known_value(a, self.shape)
        return value

    def init(self, ctx: Context, key: Value, members: int) -> Value:
        """No parameters."""
        return ctx.builder.add("Init", Dictionary(()), (), TREE, ctx.owner)

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        lead = leading(s, a)
        options = {"shape": self.shape, "height": self.height, "members": ctx.own.ensemble}
        expr = call(known_ensemble, rows(0, a, lead), **options)
        return ctx.builder.add("QValue", expr, (a,), Type(union(("ensemble",), lead)), "q")

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        """The loss 0: there are no parameters."""
        return ctx.builder.constant(0.0, "loss"), {}
