"""Auxiliary variables: what a policy draws with an action, as its log-density is that of both together."""

from __future__ import annotations

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import STOP


def drawn_with(ctx: Context, a: Value) -> Value:
    """The auxiliary variable [..., action] of actions [..., action]: a constant where they are one.

    It is zero for actions of other origins, such as the best of several samples.
    """
    b, known = ctx.builder, ctx.report.auxiliary
    if a.name in known:
        return known[a.name]
    node = b.nodes[a.name]
    if node.op == STOP and node.inputs[0] in known:
        return b.stop(known[node.inputs[0]], "auxiliary_constant")
    return b.add("Constant", call("jnp.zeros_like", Arg(0)), (a,), a.type, "no_auxiliary")
