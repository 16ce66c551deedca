"""Ensemble of scalar action values."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Future
from flowrl_dsl.components.context import Context, leading
from flowrl_dsl.components.ensembles import Ensemble, ensemble_loss, ensemble_values
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Expr, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def mean_value_given(net, params, s):
    """mean_e Q_e(s, a) as a function of a; a level is ignored."""
    return lambda a, level: jnp.mean(ensemble_values(net, params, {"s": s, "a": a}), axis=0)


@register
class Q(Ensemble):
    """``Q_e(s, a)`` for members e of an ensemble; loss ``mean_e mean_B (Q_e(s, a) - y)^2`` (or the sum over e).

    With ``huber = k`` the error is ``x^2 / 2`` up to k and linear beyond it, x = |Q_e(s, a) - y|.
    """

    name = "q"
    provides = frozenset({"q_value", "energy"})
    heads: ClassVar[int] = 1

    huber: Scalar | None = option("error above which the loss is linear; none for squared errors", "none", POSITIVE)

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Q_e(s, a): [ensemble, ...] over the axes of s and a."""
        expr, inputs = self.applied(ctx, ensemble_values, params, s, a)
        return ctx.builder.add("QValue", expr, inputs, Type(union(("ensemble",), leading(s, a))), "q")

    def energy(self, ctx: Context, params: Expr, s: Expr) -> Expr:
        return call(mean_value_given, self.module(ctx), params, s)

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        q = self.value(ctx.in_training(), params, s, a)
        ctx.metric("q", q)
        inputs = [q, y]
        options: dict[str, str | Arg] = {"reduction": reduction}
        if self.huber is not None:
            options["bound"] = ctx.argument(self.huber, inputs)
        return ctx.builder.add("Loss", call(ensemble_loss, Arg(0), Arg(1), **options), inputs, SCALAR, "loss"), {}
