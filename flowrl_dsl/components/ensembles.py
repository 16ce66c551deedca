"""Shared by critics that are ensembles of networks of (s, a), with parameters along a leading axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from flowrl_dsl.axes import Axes, union
from flowrl_dsl.components.base import Critic, Future
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Call, Expr, Partial, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp, nn


@kernel
def init_ensemble(net, key, members, *examples):
    """Initial parameters of each member, along a leading axis.

    Members are initialised sequentially: a batch of orthogonal matrices would be factored by the threads of XLA's pool while
    a thread of that pool waits for them, and two such batches at once deadlock on a machine with two cores.
    """
    return jax.lax.map(lambda k: net.init(k, *examples)["params"], jax.random.split(key, members))


@kernel(together="together")
def ensemble_outputs(net, params, inputs, key=None, together=None):
    """The outputs of every member's network, along a leading axis.  With a key, dropout is on, with one key per member.

    All members are computed at once, or only up to ``together`` rows, and sequentially beyond: two members unrolled, more in
    a loop over pairs, which is as fast as unrolling all and faster to compile.
    """

    def member(own):
        if key is None:
            return net.apply({"params": own}, inputs)
        return net.apply({"params": own[0]}, inputs, rngs={"dropout": own[1]})

    members = params if key is None else (params, jax.random.split(key, jax.tree.leaves(params)[0].shape[0]))
    if together is None or max(x.size // x.shape[-1] for x in inputs.values()) <= together:
        return jax.vmap(member)(members)
    return jax.lax.scan(lambda _, own: (None, member(own)), None, members, unroll=2)[1]


@kernel(together="together")
def ensemble_values(net, params, inputs, key=None, together=None):
    """Q_e(s, a) of every member e, along a leading axis."""
    return ensemble_outputs(net, params, inputs, key, together)[..., 0]


@kernel(together="together")
def values_at_level(net, params, s, a, level, key=None, together=None):
    """Q_e(s, a, level) of every member e; one level for all actions, or one per action."""
    return ensemble_values(net, params, {"s": s, "a": a, "level": jnp.asarray(level)[..., None]}, key, together)


@kernel
def mean_value_at_level(net, params, s):
    """mean_e Q_e(s, a, level) as a function of (a, level)."""
    return lambda a, level: jnp.mean(values_at_level(net, params, s, a, level), axis=0)


@kernel
def with_embedded_level(trunk, embedding, scale=1):
    """The network of (s, a, features of scale times the level)."""

    class WithEmbeddedLevel(nn.Module):
        trunk: nn.Module
        embedding: nn.Module

        def embedded(self, inputs):
            if "level" not in inputs:
                return inputs
            return inputs | {"level": self.embedding(inputs["level"][..., 0] * scale)}

        def project(self, inputs):
            return self.trunk.project(self.embedded(inputs))

        def __call__(self, inputs, projected=None):
            return self.trunk(self.embedded(inputs), projected)

    return WithEmbeddedLevel(trunk, embedding)


@kernel
def over_members(losses, reduction):
    """The mean or the sum of the members' losses."""
    return jnp.mean(losses) if reduction == "mean" else jnp.sum(losses)


@kernel
def ensemble_loss(q, y, reduction, bound=None):
    """Error to the targets: mean over the batch, then mean or sum over the members.

    The error of a value is x^2, x = Q_e - y; with a bound k it is Huber's: x^2 / 2 up to |x| = k, k (|x| - k/2) beyond.
    """
    x = jnp.abs(q - y)
    error = jnp.square(x) if bound is None else jnp.where(x <= bound, jnp.square(x) / 2, bound * (x - bound / 2))
    return over_members(jnp.mean(error, axis=-1), reduction)


@kernel
def mean_value_of(net, params, s, read):
    """mean_e of the values that ``read`` computes from the outputs at (s, a), as a function of a; a level is ignored."""
    return lambda a, level: jnp.mean(read(ensemble_outputs(net, params, {"s": s, "a": a})), axis=0)


@kernel
def of_lowest_member(outputs, q):
    """For each row, the output of the (first) member with the lowest value q: [E, B, ...] becomes [B, ...]."""
    lowest = jnp.argmin(q, axis=0).reshape(1, -1, *[1] * (outputs.ndim - 2))
    return jnp.take_along_axis(outputs, lowest, axis=0)[0]


class Ensemble(Critic):
    """A critic of several networks of (s, a), each with ``heads`` outputs."""

    provides = frozenset({"q_value"})

    @property
    @abstractmethod
    def heads(self) -> int:
        """Number of outputs of one member's network."""

    def inputs(self, ctx: Context) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the inputs of the networks."""
        return (("s", ctx.sizes.obs), ("a", ctx.sizes.action))

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", self.inputs(ctx), self.heads)

    def init(self, ctx: Context, key: Value, members: int) -> Value:
        example = {name: call("jnp.zeros", (1, size)) for name, size in self.inputs(ctx)}
        expr = call(init_ensemble, self.module(ctx), Arg(0), members, example)
        return ctx.builder.add("Init", expr, (key,), TREE, ctx.owner)

    def applied(self, ctx: Context, function: Callable, params: Value, s: Value, a: Value) -> tuple[Call, list[Value]]:
        """A function of networks, parameters and named inputs, and in training a random key: expression and its inputs."""
        lead, inputs = leading(s, a), [params, s, a]
        named = {"s": rows(1, s, lead), "a": rows(2, a, lead)}
        dropout = ctx.dropout(ctx.own.network, inputs)
        return call(function, self.module(ctx), Arg(0), named, **dropout), inputs


class Distributional(Ensemble):
    """An ensemble whose outputs describe a distribution of returns; ``mean`` computes its value."""

    provides = frozenset({"q_value", "energy"})

    @abstractmethod
    def mean(self) -> Partial:
        """The value [ensemble, ...] as a function of the outputs [ensemble, ..., heads]."""

    def energy(self, ctx: Context, params: Expr, s: Expr) -> Expr:
        return call(mean_value_of, self.module(ctx), params, s, self.mean())

    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The means of the distributions: [ensemble, ...] over the axes of s and a."""
        return self.value_of(ctx, self.outputs(ctx, params, s, a), leading(s, a))

    def value_of(self, ctx: Context, outputs: Value, lead: Axes) -> Value:
        """The value of outputs with rows ``lead``."""
        mean = self.mean()
        expr = call(mean.function, Arg(0), **dict(mean.kwargs))
        return ctx.builder.add("QValue", expr, (outputs,), Type(union(("ensemble",), lead)), "q")

    def outputs(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The outputs of the networks, [ensemble, ..., heads], as one node."""
        expr, inputs = self.applied(ctx, ensemble_outputs, params, s, a)
        return ctx.builder.add("Predict", expr, inputs, TREE, "q_outputs")

    def fitted(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The outputs fitted by a loss; their value is reported."""
        outputs = self.outputs(ctx.in_training(), params, s, a)
        ctx.metric("q", self.value_of(ctx, outputs, leading(s, a)))
        return outputs

    def judged(self, ctx: Context, future: Future) -> tuple[Value, Value]:
        """Outputs and values of the target copy at the next state and action."""
        outputs = self.outputs(ctx, future.params, future.s, future.a)
        return outputs, self.value_of(ctx, outputs, leading(future.s, future.a))
