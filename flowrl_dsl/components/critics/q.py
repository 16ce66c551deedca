"""Ensemble of scalar action values."""

from __future__ import annotations

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Critic
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Expr, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def init_ensemble(net, key, members, *examples):
    """Fresh parameters for each member, along a leading axis.

    One member after the other: a batch of orthogonal matrices would be factored by the threads of XLA's pool while a thread
    of that pool waits for them, and two such batches at once wait for each other forever on a machine of two cores.
    """
    return jax.lax.map(lambda k: net.init(k, *examples)["params"], jax.random.split(key, members))


@kernel
def ensemble_values(net, params, inputs):
    """Q_e(s, a) of every member e, along a leading axis."""
    return jax.vmap(lambda p: net.apply({"params": p}, inputs)[..., 0])(params)


@kernel
def mean_value_given(net, params, s):
    """mean_e Q_e(s, a) as a function of a; a level is ignored."""
    return lambda a, level: jnp.mean(ensemble_values(net, params, {"s": s, "a": a}), axis=0)


@kernel
def ensemble_loss(q, y, reduction, bound=None):
    """Error to the targets: mean over the batch, then mean or sum over the members.

    The error of a value is x^2, x = Q_e - y; with a bound k it is Huber's: x^2 / 2 up to |x| = k, k (|x| - k/2) beyond.
    """
    x = jnp.abs(q - y)
    error = jnp.square(x) if bound is None else jnp.where(x <= bound, jnp.square(x) / 2, bound * (x - bound / 2))
    error = jnp.mean(error, axis=-1)
    return jnp.mean(error) if reduction == "mean" else jnp.sum(error)


@register
class Q(Critic):
    """``Q_e(s, a)`` for members e of an ensemble; loss ``mean_e mean_B (Q_e(s, a) - y)^2`` (or the sum over e).

    With ``huber = k`` the error is ``x^2 / 2`` up to k and linear beyond it, x = |Q_e(s, a) - y|.
    """

    name = "q"
    provides = frozenset({"q_value", "energy"})

    huber: Scalar | None = option("error beyond which the loss is linear; none for squared errors", "none", POSITIVE)

    def module(self, ctx: Context) -> Build:
        return ctx.critic.network.module("critic_net", (("s", ctx.sizes.obs), ("a", ctx.sizes.action)), 1)

    def init(self, ctx: Context, key: Value, members: int) -> Value:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs)), "a": call("jnp.zeros", (1, ctx.sizes.action))}
        expr = call(init_ensemble, self.module(ctx), Arg(0), members, example)
        return ctx.builder.add("Init", expr, (key,), TREE, "critic")

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Q_e(s, a): [ensemble, ...] over the axes of s and a."""
        lead = leading(s, a)
        expr = call(ensemble_values, self.module(ctx), Arg(0), {"s": rows(1, s, lead), "a": rows(2, a, lead)})
        return ctx.builder.add("QValue", expr, (params, s, a), Type(union(("ensemble",), lead)), "q")

    def energy(self, ctx: Context, params: Expr, s: Expr) -> Expr:
        return call(mean_value_given, self.module(ctx), params, s)

    def loss(self, ctx: Context, params: Value, s: Value, a: Value, y: Value, reduction: str) -> Value:
        q = self.value(ctx, params, s, a)
        ctx.metric("q", q)
        inputs, options = [q, y], {"reduction": reduction}
        if self.huber is not None:
            options["bound"] = ctx.argument(self.huber, inputs)
        return ctx.builder.add("Loss", call(ensemble_loss, Arg(0), Arg(1), **options), inputs, SCALAR, "loss")
