"""Surrogate: ratios of the policy to the one that collected a rollout, times the advantages of the actions taken."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.axes import without
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import negative_mean
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import NOISED
from flowrl_dsl.formula import variables
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

LIKELIHOODS = ("log_prob", "step_log_prob", "eps", "velocity")
"""The functions of the policy that make a ratio."""
EACH = ("batch", "draw", "denoise")
"""The axes along which a transition may have several ratios."""

RATIO = Slot(
    result=EACH,
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        **{name: ("batch", "draw", *without(axes, "batch")) for name, axes in NOISED.items()},
        "steps_left": ("denoise",),
    },
    functions=("V", "Q", *LIKELIHOODS),
    sizes={"A": "action"},
    through=LIKELIHOODS,
    needs={**dict.fromkeys(NOISED, "noise_draws"), "steps_left": "step_log_prob"},
)
OBJECTIVE = replace(
    RATIO,
    values={**RATIO.values, "ratio": ("batch",), "gain": ("batch",), "returns": ("batch",)},
    through=("ratio",),
    computed={"ratio": "ratio"},
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

    An action may have several ratios, and then as many objectives: one for each denoising step (axis ``denoise``), where the
    sampler's steps have densities, or one for each noisy version of it (axis ``draw``), ``rollout.draws`` of which are made.
    ``steps_left`` is the number of denoising steps that follow each.
    """

    name = "surrogate"
    paper = "arXiv:1707.06347"
    provides = frozenset({"kl"})
    requires = frozenset({"rollouts"})

    ratio: Formula = slot(
        "the new likelihood of the action over the old one",
        RATIO,
        "exp(clip(log_prob(s, a) - (log_prob(s, a) from old_policy), -20, 20))",
    )
    objective: Formula = slot("objective; its mean over the batch is maximised", OBJECTIVE, "clipped(ratio, gain, 0.2)")

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, batch = ctx.builder, ctx.batch
        given = {"s": s, "a": a, **self._noisy(ctx, a), **self._steps(ctx)}
        ratio = ctx.formula(self.ratio, "ratio", {}, **given)
        given |= {"ratio": ratio, "gain": batch["gain"], "returns": batch["returns"]}
        objective = ctx.formula(self.objective, "objective", {}, **given)
        kl = b.add("Reduce", call(log_ratio_divergence, Arg(0)), (b.stop(ratio),), SCALAR, "kl")
        return Loss(b.add("Loss", call(negative_mean, Arg(0)), (objective,), SCALAR, "loss"), {"kl": kl})

    def _noisy(self, ctx: Context, a: Value) -> dict[str, Value]:
        """The noisy versions of each action, if a formula reads them: made from the noise and the times of the rollout."""
        if "noise" not in ctx.batch or not self._reads(*NOISED):
            return {}
        return ctx.of(POLICY).own.backbone.noised_at(ctx, a, ctx.batch["noise"], ctx.batch["t"]).values()

    def _steps(self, ctx: Context) -> dict[str, Value]:
        """The number of denoising steps after each, if a formula reads it."""
        if not self._reads("steps_left"):
            return {}
        expr = call("jnp.arange", ctx.own.sampler.steps - 1, -1, -1, dtype="float32")
        return {"steps_left": ctx.builder.add("Constant", expr, (), Type(("denoise",)), "steps_left")}

    def _reads(self, *names: str) -> bool:
        return not (variables(self.ratio) | variables(self.objective)).isdisjoint(names)
