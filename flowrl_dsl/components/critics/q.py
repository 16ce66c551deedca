"""Ensemble of scalar action values."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Future
from flowrl_dsl.components.context import Context, leading
from flowrl_dsl.components.ensembles import Ensemble, ensemble_outputs, over_members
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def ensemble_values(net, params, inputs, key=None):
    """Q_e(s, a) of every member e, along a leading axis."""
    return ensemble_outputs(net, params, inputs, key)[..., 0]


@kernel
def ensemble_loss(q, y, reduction):
    """Squared error to the targets: mean over the batch, then mean or sum over the members."""
    return over_members(jnp.mean(jnp.square(q - y), axis=-1), reduction)


@register
class Q(Ensemble):
    """``Q_e(s, a)`` for members e of an ensemble; loss ``mean_e mean_B (Q_e(s, a) - y)^2`` (or the sum over e)."""

    name = "q"

    heads: ClassVar[int] = 1

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Q_e(s, a): [ensemble, ...] over the axes of s and a."""
        expr, inputs = self.applied(ctx, ensemble_values, params, s, a)
        return ctx.builder.add("QValue", expr, inputs, Type(union(("ensemble",), leading(s, a))), "q")

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        q = self.value(ctx.in_training(), params, s, a)
        ctx.metric("q", q)
        expr = call(ensemble_loss, Arg(0), Arg(1), reduction=reduction)
        return ctx.builder.add("Loss", expr, (q, y), SCALAR, "loss"), {}
