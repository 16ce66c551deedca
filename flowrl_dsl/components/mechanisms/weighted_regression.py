"""Weighted regression: imitates proposed actions in proportion to their weights."""

from __future__ import annotations

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import imitation
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Drawn, Formula, Scalar, Slot, option, register, slot

WEIGHT = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@kernel
def spread(a, noise, scale):
    """Proposals with Gaussian noise, bounded by [-1, 1]."""
    return jnp.clip(a + scale * noise, -1.0, 1.0)


@kernel
def divergence_from_uniform(weight):
    """log N - H(p), p = w / sum w, w the positive part of the weights: KL of the reweighted proposals from the proposals.

    The mean over states.  The policy is repelled from proposals of negative weight, which are excluded from p.
    """
    positive = jnp.maximum(weight, 0.0)
    p = positive / jnp.maximum(jnp.sum(positive, axis=-1, keepdims=True), 1e-12)
    return jnp.mean(jnp.log(p.shape[-1]) + jnp.sum(p * jnp.log(jnp.maximum(p, 1e-12)), axis=-1))


@register
class WeightedRegression(Mechanism):
    """``E[sum_n w_n mean_A (eps(s, a_t, t) - noise)^2]`` over N proposals per state, each with its own t and noise.

    With normalised weights this is the mean over proposals of ``N w_n`` times the error.  No gradient flows through the
    proposals or their weights.  Measures ``kl = log N - H(w)``, w the positive parts of the weights, normalised to sum 1.
    """

    name = "weighted_regression"
    paper = "arXiv:2502.00361"
    provides = frozenset({"kl"})
    requires = frozenset({"imitation"})

    particles: Drawn[int] = option("proposals per state, and the policy copy that samples them", "64 from policy")
    noise: Scalar | None = option("standard deviation of Gaussian noise added to the proposals", "none", NOT_NEGATIVE)
    weight: Formula = slot("weight of each proposal; no gradient flows through it", WEIGHT)
    clip_error: Scalar | None = option("upper bound of each squared error", "none", POSITIVE)

    def needs(self) -> frozenset[str]:
        """Only errors of a predicted noise can be bounded."""
        return self.requires if self.clip_error is None else self.requires | {"noise_prediction"}

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        proposals = self._proposals(ctx, s)
        raw = ctx.formula(self.weight, "weight", sizes={"N": self.particles.value}, s=s, a=proposals)
        weight = ctx.broadcast(ctx.builder.stop(raw, "constant_weight"), ("batch", "particle"), proposals)
        kl = ctx.builder.add("Reduce", call(divergence_from_uniform, Arg(0)), (weight,), SCALAR, "kl")
        return Loss(imitation(ctx, s, proposals, weight, self.clip_error), {"kl": kl})

    def _proposals(self, ctx: Context, s: Value) -> Value:
        a = ctx.draw(self.particles.source, s, "proposals", particles=self.particles.value, frozen=True)
        if self.noise is None:
            return a
        noise = ctx.normal(s, ctx.sizes.action, "proposal_noise", self.particles.value)
        expr = call(spread, Arg(0), Arg(1), Arg(2))
        return ctx.builder.add("Noise", expr, (a, noise, ctx.scalar(self.noise)), a.type, "spread_proposals")
