"""Reparameterized: differentiates an objective of the policy's samples through the sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import negative_mean, uses_draw_density
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

OBJECTIVE = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), **dict.fromkeys(("a", "a_seen", "a_base", "noise"), ("batch", "action"))},
    functions=("Q", "Q_target", "log_prob", "draw_log_prob", "denoising_loss", "score_gap"),
    sizes={"A": "action"},
    through=("a", "noise"),
    needs={"a_base": "base_action", "noise": "base_noise"},
)


@kernel
def predicted_action(a_t, eps, alpha, sigma):
    """The clean action that a predicted noise leaves: (a_t - sigma eps) / alpha within [-1, 1]."""
    return jnp.clip((a_t - sigma[..., None] * eps) / alpha[..., None], -1.0, 1.0)


@register
class Reparameterized(Mechanism):
    """Maximise ``E[objective(s, a)]``, a ~ pi(. | s), by differentiating through the sampling (all denoising steps).

    ``a_seen`` is the action of the batch at s.  With ``draw = predicted``, a is the clean action that a single call of the
    policy's network predicts from a noisy version of ``a_seen``, ``clip((a_t - sigma eps(s, a_t, t)) / alpha, -1, 1)``.

    Of a policy that edits the actions of another one, ``a_base`` is the action before the edit; with ``draw = edited`` it is
    ``a_seen``, in place of a sample of the other policy.  Of one that steers another one, ``noise`` is what becomes a.

    Measures ``entropy = -E[log pi(a | s)]`` if the policy computes log-densities of its samples.
    """

    name = "reparameterized"
    paper = "arXiv:1801.01290"
    provides = frozenset({"entropy"})
    requires = frozenset({"reparameterized"})

    draw: Literal["sample", "predicted", "edited"] = Field(
        "sample", description="a: a sample, predicted from a noisy `a_seen`, or an edit of `a_seen`"
    )
    objective: Formula = slot("objective; its mean over the batch is maximised", OBJECTIVE, "min(Q(s, a), over = ensemble)")

    @model_validator(mode="after")
    def _rates_its_own_draw(self) -> Reparameterized:
        if uses_draw_density(self.objective, "s", "a") and self.draw == "predicted":
            raise ValueError("draw_log_prob(s, a) needs draw = sample, or edited")
        return self

    def capabilities(self) -> frozenset[str]:
        return frozenset() if self.draw == "predicted" else self.provides

    def needs(self) -> frozenset[str]:
        if self.draw == "predicted":
            return frozenset({"noise_process", "noise_prediction"})
        return self.requires if self.draw == "sample" else self.requires | {"base_action"}

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b = ctx.builder
        drawn = self._predicted(ctx, s, a) if self.draw == "predicted" else self._drawn(ctx, s, a)
        measures: dict[str, Value] = {}
        if ctx.rated(ctx.owner, drawn):
            density = b.stop(ctx.log_prob(ctx.owner, s, drawn), "log_prob_constant")
            measures["entropy"] = b.add("Reduce", call(negative_mean, Arg(0)), (density,), SCALAR, "entropy")
        given = {"s": s, "a": drawn, "a_seen": a, **self._based(ctx, drawn)}
        objective = ctx.formula(self.objective, "objective", {}, **given)
        return Loss(b.add("Loss", call(negative_mean, Arg(0)), (objective,), SCALAR, "loss"), measures)

    def _drawn(self, ctx: Context, s: Value, a: Value) -> Value:
        return ctx.draw(ctx.owner, s, "action", base=a if self.draw == "edited" else None)

    def _based(self, ctx: Context, drawn: Value) -> dict[str, Value]:
        """What the actions were made of, under the names that a formula may read it by."""
        return dict.fromkeys(("a_base", "noise"), ctx.report.bases[drawn.name]) if drawn.name in ctx.report.bases else {}

    def _predicted(self, ctx: Context, s: Value, a: Value) -> Value:
        noised = ctx.own.backbone.noised(ctx, a)
        eps = ctx.own.backbone.predict(*ctx.in_training().actor(ctx.owner, s), noised.a_t, noised.t)
        inputs = (noised.a_t, eps, noised.alpha, noised.sigma)
        return ctx.builder.add("Arithmetic", call(predicted_action, *map(Arg, range(4))), inputs, a.type, "action")
