"""Graphs to look at a policy with: its samples at given observations, and the critic's values of given actions."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.algorithm import POLICY, Algorithm
from flowrl_dsl.components.context import Context, Report
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.components.stages import context_of, init_graph, observed
from flowrl_dsl.graph.builder import Builder, Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import Graph, Type
from flowrl_dsl.graph.verify import verify


def samples_graph(algorithm: Algorithm, sizes: Sizes, count: int) -> Graph:
    """``action`` [batch, particle, action]: ``count`` samples of the policy for each of ``obs`` [batch, obs], by ``key``."""
    builder, ctx, s = _begin("samples", algorithm, sizes)
    ctx = ctx.with_key(builder.input("key", Type(dtype="u32")))
    action = ctx.draw(POLICY, s, "action", count)
    builder.output("action", _bounded(builder, action))
    return _finished(builder)


def values_graph(algorithm: Algorithm, sizes: Sizes) -> Graph:
    """``value`` [batch, particle]: the critic's values, averaged over its ensemble, of ``action`` at ``obs``."""
    builder, ctx, s = _begin("values", algorithm, sizes)
    a = builder.input("action", Type(("batch", "particle", "action")))
    q = ctx.q("critic", s, a)
    builder.output("value", builder.reduce("jnp.mean", q, ("ensemble",), "value"))
    return _finished(builder)


def noisy_values_graph(algorithm: Algorithm, sizes: Sizes, owner: str) -> Graph:
    """``value`` [batch]: V_t of the section ``owner`` of noisy ``action`` [batch, action] at ``obs`` and ``t`` [batch]."""
    builder, ctx, s = _begin("noisy_values", algorithm, sizes)
    a_t, t = builder.input("action", Type(("batch", "action"))), builder.input("t", Type(("batch",)))
    values = ctx.called("V_t", s, a_t, t, source=owner)
    builder.output("value", builder.reduce("jnp.mean", values, ("ensemble",), "value"))
    return _finished(builder)


def rates_actions(algorithm: Algorithm) -> bool:
    """Whether the algorithm has a critic of actions, whose values can be drawn."""
    critic: Any = algorithm.sections.get("critic")
    return critic is not None and hasattr(critic, "kind")


def _begin(name: str, algorithm: Algorithm, sizes: Sizes) -> tuple[Builder, Context, Value]:
    """A builder, a context that reads the state, and the observations as the networks read them."""
    builder = Builder(name)
    ctx = context_of(builder, algorithm, sizes, init_graph(algorithm, sizes)[1], Report())
    return builder, ctx, observed(ctx, builder.input("obs", Type(("batch", "obs"))), "normalized_s")


def _bounded(builder: Builder, action: Value) -> Value:
    return builder.add("Arithmetic", call("jnp.clip", Arg(0), -1.0, 1.0), (action,), action.type, "bounded_action")


def _finished(builder: Builder) -> Graph:
    graph = builder.finish()
    verify(graph)
    return graph
