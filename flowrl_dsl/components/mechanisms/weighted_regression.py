"""Weighted regression: imitates proposed actions in proportion to their weights."""

from __future__ import annotations

from collections.abc import Iterator

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import imitation
from flowrl_dsl.components.context import Context
from flowrl_dsl.diagnostics import Diagnostic, warning
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

SMALLEST_ERROR = 1e-2
"""A bound on squared noise errors below which nearly all of them are cut, and with them their gradients."""


@kernel
def spread(a, noise, scale):
    """Proposals with Gaussian noise."""
    return a + scale * noise


@kernel
def bounded_proposals(a, bound):
    """Each component within [-bound, bound]."""
    return jnp.clip(a, -bound, bound)


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
    bound: Scalar | None = option("bound on the proposals, after their noise; none for no bound", "none", POSITIVE)
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
        if self.noise is not None:
            noise = ctx.normal(s, ctx.sizes.action, "proposal_noise", self.particles.value)
            expr = call(spread, Arg(0), Arg(1), Arg(2))
            a = ctx.builder.add("Noise", expr, (a, noise, ctx.scalar(self.noise)), a.type, "spread_proposals")
        if self.bound is not None:
            a = ctx.builder.elementwise("bounded_proposals", a, ctx.scalar(self.bound), name="bounded_proposals")
        return a

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        bound = at.algorithm.start(self.clip_error)
        if bound is not None and bound < SMALLEST_ERROR:
            message = f"clip_error = {bound:g} clips nearly every error, so almost no gradient remains"
            yield warning("FRL0317", message, at.written("clip_error"), "published values are 3 and 5")
