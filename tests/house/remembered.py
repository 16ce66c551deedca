"""A field of the record that acting fills, the log-density of each action when it was taken, and a loss that reads it."""

from __future__ import annotations

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.section import Section
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.record import Field, Record
from flowrl_dsl.registry import POSITIVE, Formula, Scalar, Slot, option, register, slot

ADVANTAGE = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action")},
    functions=("Q", "Q_target"),
    sizes={"A": "action"},
)


@register
class Remember(Section):
    """Keeps ``log_prob_then``, log pi(a | s) of the policy that took the action."""

    name = "remember"
    requires = frozenset({"log_prob"})
    provides = frozenset({"remembered_density"})

    def record(self, algorithm: Algorithm) -> Record:
        return {"log_prob_then": Field(by="act")}

    def acted(self, ctx: Context, s: Value, a: Value, drawn: Value) -> dict[str, Value]:
        return {"log_prob_then": ctx.log_prob("policy", s, a)}


@kernel
def importance_loss(log_prob, then, advantage, bound):
    """-E[min(exp(log_prob - then), bound) A], A a constant."""
    ratio = jnp.minimum(jnp.exp(jnp.clip(log_prob - then, -20.0, 20.0)), bound)
    return -jnp.mean(ratio * jax.lax.stop_gradient(advantage))


@register
class Importance(Mechanism):
    """Raise the density of the batch's own actions where their advantage is positive, by bounded importance ratios."""

    name = "importance"
    requires = frozenset({"log_prob", "remembered_density"})

    advantage: Formula = slot("how much better an action is than others", ADVANTAGE)
    bound: Scalar = option("largest ratio", "2.0", POSITIVE)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        advantage = ctx.broadcast(ctx.formula(self.advantage, "advantage", s=s, a=a), ("batch",), ctx.batch["d"])
        inputs = (ctx.log_prob(ctx.owner, s, a), ctx.batch["log_prob_then"], advantage, ctx.scalar(self.bound))
        return Loss(ctx.builder.add("Loss", call(importance_loss, *map(Arg, range(4))), inputs, SCALAR, "loss"))
