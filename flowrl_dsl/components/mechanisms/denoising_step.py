"""One denoising step of the policy, differentiated: each step of the sampler is a decision of its own."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import negative_mean
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import NOISED, STEP
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.registry import Formula, Slot, register, slot

OBJECTIVE = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), **NOISED, **STEP},
    functions=("Q", "Q_target", "eps"),
    sizes={"A": "action", "N": "particle"},
    through=("a_less", "eps"),
)


@register
class DenoisingStep(Mechanism):
    """Maximise ``E[objective]`` of single steps of the policy's sampler, from noisy actions of the batch.

    ``a_t = alpha a + sigma noise``, a from the batch, at the time t of a random one of the sampler's steps; ``a_less`` are N
    draws of what the step makes of it, at the time ``t_less``.  On the last step (``last`` is 1) they are actions.
    ``kl_weight |e - e'|^2`` is the divergence of two such steps of variance beta with the predicted noises e and e'.

    Gradients flow through a_less and through the predicted noise ``eps(s, a_t, t)``, not along the steps before.
    """

    name = "denoising_step"
    paper = "arXiv:2502.04778"
    requires = frozenset({"noise_prediction", "denoising_step"})

    draws: int = Field(1, ge=1, description="number of draws N of each step")
    objective: Formula = slot("objective; its mean over the batch is maximised", OBJECTIVE)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        own, params, seen = ctx.in_training().actor(ctx.owner, s)
        step = own.own.backbone.denoising_step(own, params, seen, a, self.draws)
        objective = ctx.formula(self.objective, "objective", {"N": self.draws}, s=s, a=a, **step.values())
        return Loss(ctx.builder.add("Loss", call(negative_mean, Arg(0)), (objective,), SCALAR, "loss"))
