"""Actions that a critic is compared at: uniformly random ones, and draws of a policy at this state and at the next."""

from __future__ import annotations

from collections.abc import Set
from math import log

from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Drawn

PROPOSED = ("a_any", "log_density", "of_policy")
"""What a penalty reads of the proposals."""


@kernel
def side_by_side(uniform, own, next_own):
    """The actions of three kinds along one axis: [batch, particle, action]."""
    return jnp.concatenate([uniform, own, next_own], axis=-2)


@kernel
def same_number(a, x):
    """The number x for each action."""
    return jnp.full(a.shape[:-1], x)


@kernel
def one_after_another(uniform, own, next_own):
    """Numbers of the actions of three kinds along one axis: [batch, particle]."""
    return jnp.concatenate([uniform, own, next_own], axis=-1)


def proposed(ctx: Context, batch: dict[str, Value], count: Drawn[int], read: Set[str]) -> dict[str, Value]:
    """The proposals ``a_any`` [batch, particle, action], and the ``read`` ones of their properties [batch, particle]."""
    b = ctx.builder
    drawn = [ctx.uniform(batch["s"], "a_uniform", count.value)]
    drawn += [ctx.draw(count.source, batch[s], f"a_at_{s}", particles=count.value, frozen=True) for s in ("s", "s_next")]
    values = {"a_any": b.add("Concat", call(side_by_side, *map(Arg, range(3))), drawn, drawn[0].type, "a_any")}
    if "of_policy" in read:
        marks = [_each(ctx, a, x, "mark") for a, x in zip(drawn, (0.0, 1.0, 1.0), strict=True)]
        values["of_policy"] = _joined(ctx, marks, "of_policy")
    if "log_density" in read:
        pairs = zip(("s", "s_next"), drawn[1:], strict=True)
        own = [b.stop(ctx.log_prob(count.source, batch[s], a), f"density_at_{s}") for s, a in pairs]
        uniform = _each(ctx, drawn[0], -ctx.sizes.action * log(2.0), "uniform_density")
        values["log_density"] = _joined(ctx, [uniform, *own], "log_density")
    return values


def _each(ctx: Context, a: Value, x: float, name: str) -> Value:
    """The number for each of the actions: [batch, particle]."""
    return ctx.builder.add("Weights", call(same_number, Arg(0), x), (a,), Type(("batch", "particle")), name)


def _joined(ctx: Context, parts: list[Value], name: str) -> Value:
    return ctx.builder.add("Concat", call(one_after_another, *map(Arg, range(3))), parts, parts[0].type, name)
