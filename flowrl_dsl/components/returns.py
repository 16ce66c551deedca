"""Discounted sums of the rewards that follow a stored transition."""

from __future__ import annotations

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jnp


@kernel
def n_step_return(rewards, discount):
    """sum_k discount^k r_k of each window: [batch]."""
    return rewards @ discount ** jnp.arange(rewards.shape[-1])


@kernel
def continued_return(rewards, count, d, discount):
    """sum_{k<n} discount^k r_k of each window, n = count: [batch].

    Where the last of its steps is no end, d = 0, its reward goes on: + discount^n r_{n-1} / (1 - discount), the quotient
    bounded as if that were at most a million steps.
    """
    last = jnp.take_along_axis(rewards, count.astype(jnp.int32)[:, None] - 1, axis=-1)[:, 0]
    after = discount**count * (1 - d) * last / jnp.maximum(1 - discount, 1e-6)
    return n_step_return(rewards, discount) + after


def return_to_go(ctx: Context, batch: dict[str, Value], discount: Value) -> Value:
    """The return from each transition of the batch on: [batch]."""
    inputs = (batch["rewards_ahead"], batch["count_ahead"], batch["d_ahead"], discount)
    expr = call(continued_return, *map(Arg, range(4)))
    return ctx.builder.add("Return", expr, inputs, Type(("batch",)), "return_to_go")
