"""Likelihood ratio: increases the log-density of sampled actions with positive advantage."""

from __future__ import annotations

from types import MappingProxyType

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Drawn, Formula, Scalar, Slot, option, register, slot

ADVANTAGE = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@kernel
def clipped_ratio_loss(log_prob, old_log_prob, advantage, clip):
    """-E[min(r A, clip(r, 1 - c, 1 + c) A)], r = exp(log_prob - old_log_prob)

    The exponent is bounded by 20, so that neither the ratio nor its gradient overflows.
    """
    ratio = jnp.exp(jnp.clip(log_prob - old_log_prob, -20.0, 20.0))
    bounded = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -jnp.mean(jnp.minimum(ratio * advantage, bounded * advantage))


@kernel
def entropy_of(log_prob):
    """-E[log_prob]"""
    return -jnp.mean(log_prob)


@register
class LikelihoodRatio(Mechanism):
    """Maximise ``E[min(r A, clip(r, 1 - c, 1 + c) A)]``, ``r = pi(a|s) / pi_source(a|s)``, a ~ pi_source.

    Several actions per state are drawn from a copy of the policy; no gradient flows through actions or advantages.
    """

    name = "likelihood_ratio"
    paper = "arXiv:1707.06347"
    provides = frozenset({"entropy"})
    requires = frozenset({"log_prob"})
    of_source = MappingProxyType({"particles": frozenset({"log_prob"})})

    particles: Drawn[int] = option("actions per state, and the policy copy that samples them", "16 from policy")
    advantage: Formula = slot("advantage of each action", ADVANTAGE)
    clip: Scalar = option("deviation of the ratio from 1 beyond which its gradient is cut", "0.2", POSITIVE)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, source = ctx.builder, self.particles.source
        drawn = b.stop(ctx.draw(source, s, "proposals", particles=self.particles.value, frozen=True), "actions")
        old = b.stop(ctx.log_prob(source, s, drawn), "old_log_prob")
        raw = ctx.formula(self.advantage, "advantage", sizes={"N": self.particles.value}, s=s, a=drawn)
        advantage = ctx.broadcast(b.stop(raw, "constant_advantage"), ("batch", "particle"), drawn)
        new = ctx.log_prob(ctx.owner, s, drawn)
        entropy = b.add("Reduce", call(entropy_of, Arg(0)), (b.stop(new),), SCALAR, "entropy")
        expr = call(clipped_ratio_loss, *map(Arg, range(4)))
        loss = b.add("Loss", expr, (new, old, advantage, ctx.scalar(self.clip)), SCALAR, "loss")
        return Loss(loss, {"entropy": entropy})
