"""What critics share that are ensembles of networks of (s, a): their parameters along a leading axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from flowrl_dsl.axes import Axes, union
from flowrl_dsl.components.base import Critic, Future
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Call, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp


@kernel
def init_ensemble(net, key, members, *examples):
    """Fresh parameters for each member, along a leading axis."""
    return jax.vmap(lambda k: net.init(k, *examples)["params"])(jax.random.split(key, members))


@kernel
def ensemble_outputs(net, params, inputs, key=None):
    """What every member's network says, along a leading axis.  With a key dropout is on, for each member by its own key."""
    if key is None:
        return jax.vmap(lambda p: net.apply({"params": p}, inputs))(params)
    keys = jax.random.split(key, jax.tree.leaves(params)[0].shape[0])
    return jax.vmap(lambda p, k: net.apply({"params": p}, inputs, rngs={"dropout": k}))(params, keys)


@kernel
def over_members(losses, reduction):
    """The mean or the sum of the members' losses."""
    return jnp.mean(losses) if reduction == "mean" else jnp.sum(losses)


@kernel
def of_lowest_member(outputs, q):
    """For each row, what the member with the lowest value q (the first of them) says: [E, B, ...] becomes [B, ...]."""
    lowest = jnp.argmin(q, axis=0).reshape(1, -1, *[1] * (outputs.ndim - 2))
    return jnp.take_along_axis(outputs, lowest, axis=0)[0]


class Ensemble(Critic):
    """A critic of several networks of (s, a), each with ``heads`` outputs."""

    provides = frozenset({"q_value"})

    @property
    @abstractmethod
    def heads(self) -> int:
        """Outputs of one member's network."""

    def module(self, ctx: Context) -> Build:
        inputs = (("s", ctx.sizes.obs), ("a", ctx.sizes.action))
        return ctx.critic.network.module("critic_net", inputs, self.heads)

    def init(self, ctx: Context, key: Value, members: int) -> Value:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs)), "a": call("jnp.zeros", (1, ctx.sizes.action))}
        expr = call(init_ensemble, self.module(ctx), Arg(0), members, example)
        return ctx.builder.add("Init", expr, (key,), TREE, "critic")

    def applied(
        self, ctx: Context, function: Callable, params: Value, s: Value, a: Value
    ) -> tuple[Call, tuple[Value, ...]]:
        """A function of networks, parameters and named inputs, and in training a random key: expression and its inputs."""
        lead = leading(s, a)
        expr = (self.module(ctx), Arg(0), {"s": rows(1, s, lead), "a": rows(2, a, lead)})
        key = ctx.dropout_key(ctx.critic.network)
        if key is None:
            return call(function, *expr), (params, s, a)
        return call(function, *expr, key=Arg(3)), (params, s, a, key)


class Distributional(Ensemble):
    """An ensemble whose outputs describe a distribution of returns; ``mean`` says which value they stand for."""

    @abstractmethod
    def mean(self) -> Call:
        """The value [ensemble, ...]: an expression of the outputs [ensemble, ..., heads]."""

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The means of the distributions: [ensemble, ...] over the axes of s and a."""
        return self.value_of(ctx, self.outputs(ctx, params, s, a), leading(s, a))

    def value_of(self, ctx: Context, outputs: Value, lead: Axes) -> Value:
        """The value that outputs of rows ``lead`` stand for."""
        return ctx.builder.add("QValue", self.mean(), (outputs,), Type(union(("ensemble",), lead)), "q")

    def outputs(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """What the networks say, [ensemble, ..., heads]: one node, whatever is read from it."""
        expr, inputs = self.applied(ctx, ensemble_outputs, params, s, a)
        return ctx.builder.add("Predict", expr, inputs, TREE, "q_outputs")

    def fitted(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The outputs that a loss fits; their value is reported."""
        outputs = self.outputs(ctx.in_training(), params, s, a)
        ctx.metric("q", self.value_of(ctx, outputs, leading(s, a)))
        return outputs

    def judged(self, ctx: Context, future: Future) -> tuple[Value, Value]:
        """Outputs and values of the judging copy at the next state and action."""
        outputs = self.outputs(ctx, ctx.versions[future.source], future.s, future.a)
        return outputs, self.value_of(ctx, outputs, leading(future.s, future.a))
