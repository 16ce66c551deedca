"""The actions of one state among which a choice is made: draws of a policy, and what they are edits of."""

from __future__ import annotations

from typing import Literal

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.lazy import jnp

Also = Literal["bases"] | None
"""The candidates besides the draws: none, or the actions of which they are edits."""
MEANING = "`bases`: the actions of which the samples are edits are candidates too"


@kernel
def both(first, second):
    """The particles of two sets of actions, one set after the other: [..., particle, action]."""
    return jnp.concatenate([first, second], axis=-2)


def candidates(ctx: Context, source: str, s: Value, name: str, count: int, also: Also) -> Value:
    """``count`` draws [..., particle, action] of a policy; ``also`` bases: behind the actions of which they are edits."""
    a = ctx.draw(source, s, f"{name}_candidates", particles=count)
    if also is None:
        return a
    inputs = (ctx.report.bases[a.name], a)
    return ctx.builder.add("Concat", call(both, Arg(0), Arg(1)), inputs, a.type, f"{name}_all_candidates")
