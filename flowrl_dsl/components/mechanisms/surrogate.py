"""Surrogate: ratios of the policy to the one that collected a rollout, times the advantages of the actions taken."""

from __future__ import annotations

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import negative_mean
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

FUNCTIONS = ("V", "Q", "log_prob")

RATIO = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action")},
    functions=FUNCTIONS,
    sizes={"A": "action"},
    through="log_prob",
)
OBJECTIVE = Slot(
    result=("batch",),
    values={**RATIO.values, "ratio": ("batch",), "gain": ("batch",), "returns": ("batch",)},
    functions=FUNCTIONS,
    sizes={"A": "action"},
    through="ratio",
)


@kernel
def log_ratio_divergence(ratio):
    """E[r - 1 - log r]: an estimate of KL(old, new) that is never negative (Schulman, 2020)."""
    return jnp.mean(ratio - 1 - jnp.log(jnp.maximum(ratio, 1e-20)))


@register
class Surrogate(Mechanism):
    """Maximise ``E[objective]`` over the actions a taken in a rollout, each with its advantage ``gain``.

    ``ratio`` is how much more likely the policy makes the action than ``old_policy``, which collected the rollout.  At the
    first update on a rollout it is 1, and the gradient of ``E[ratio gain]`` is the policy gradient.  Measures ``kl = E[ratio
    - 1 - log ratio]``.  The default bounds the exponent, so that neither the ratio nor its gradient overflows.
    """

    name = "surrogate"
    paper = "arXiv:1707.06347"
    provides = frozenset({"kl"})
    requires = frozenset({"rollouts", "log_prob"})

    ratio: Formula = slot(
        "the new likelihood of the action over the old one",
        RATIO,
        "exp(clip(log_prob(s, a) - (log_prob(s, a) from old_policy), -20, 20))",
    )
    objective: Formula = slot("objective; its mean over the batch is maximised", OBJECTIVE, "clipped(ratio, gain, 0.2)")

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, batch = ctx.builder, ctx.batch
        ratio = ctx.broadcast(ctx.formula(self.ratio, "ratio", s=s, a=a), ("batch",), batch["d"])
        given = {"gain": batch["gain"], "returns": batch["returns"]}
        objective = ctx.formula(self.objective, "objective", {}, s=s, a=a, ratio=ratio, **given)
        kl = b.add("Reduce", call(log_ratio_divergence, Arg(0)), (b.stop(ratio),), SCALAR, "kl")
        return Loss(b.add("Loss", call(negative_mean, Arg(0)), (objective,), SCALAR, "loss"), {"kl": kl})
