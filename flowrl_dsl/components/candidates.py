"""The actions of one state among which a choice is made: draws of a policy, and what they are edits of."""

from __future__ import annotations

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.lazy import jnp


@kernel
def both(first, second):
    """The particles of two sets of actions, one set after the other: [..., particle, action]."""
    return jnp.concatenate([first, second], axis=-2)


def candidates(ctx: Context, source: str, s: Value, name: str, count: int, bases: bool) -> Value:
    """``count`` draws [..., particle, action] of a policy; with ``bases`` behind the actions of which they are edits."""
    a = ctx.draw(source, s, f"{name}_candidates", particles=count)
    if not bases:
        return a
    inputs = (ctx.report.bases[a.name], a)
    return ctx.builder.add("Concat", call(both, Arg(0), Arg(1)), inputs, a.type, f"{name}_all_candidates")
