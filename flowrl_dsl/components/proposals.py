"""Actions that a critic is compared at: uniformly random ones, and draws of a policy at this state and at the next."""

from __future__ import annotations

from collections.abc import Set

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
def densities(own, next_own, size):
    """Log-densities of as many uniform actions in [-1, 1]^size, and of both kinds of the policy's: [batch, particle]."""
    return jnp.concatenate([jnp.full_like(own, -size * jnp.log(2.0)), own, next_own], axis=-1)


@kernel
def drawn_by_policy(own, next_own):
    """0 for each uniform action, 1 for each of both kinds of the policy's: [batch, particle]."""
    shape = own.shape[:-1]
    return jnp.concatenate([jnp.zeros(shape), jnp.ones(shape), jnp.ones(shape)], axis=-1)


def proposed(ctx: Context, batch: dict[str, Value], count: Drawn[int], read: Set[str]) -> dict[str, Value]:
    """The proposals ``a_any`` [batch, particle, action], and the ``read`` ones of their properties [batch, particle]."""
    b = ctx.builder
    drawn = [ctx.uniform(batch["s"], "a_uniform", count.value)]
    drawn += [ctx.draw(count.source, batch[s], f"a_at_{s}", particles=count.value, frozen=True) for s in ("s", "s_next")]
    values = {"a_any": b.add("Concat", call(side_by_side, *map(Arg, range(3))), drawn, drawn[0].type, "a_any")}
    if "of_policy" in read:
        expr = call(drawn_by_policy, Arg(0), Arg(1))
        values["of_policy"] = b.add("Weights", expr, drawn[1:], Type(("batch", "particle")), "of_policy")
    if "log_density" in read:
        pairs = zip(("s", "s_next"), drawn[1:], strict=True)
        own = [b.stop(ctx.log_prob(count.source, batch[s], a), f"density_at_{s}") for s, a in pairs]
        expr = call(densities, Arg(0), Arg(1), size=ctx.sizes.action)
        values["log_density"] = b.add("Concat", expr, own, own[0].type, "log_density")
    return values
