"""Imitation: fits the policy to the actions of the batch, each with a weight."""

from __future__ import annotations

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import imitation
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import Formula, Slot, register, slot

WEIGHT = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), "gain": ("batch",)},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action"},
    needs={"gain": "rollouts"},
)


@register
class Imitation(Mechanism):
    """``E[w(s, a) l(s, a)]`` over the transitions of the batch, l the backbone's regression loss.

    l is ``-log pi(a | s)``, or the error of a denoised or flow-matched noisy action.  With weight 1 this is behaviour
    cloning, with an exponential of the advantage advantage-weighted regression.  No gradient flows through the weight.
    Of the actions of a rollout, ``gain`` is the advantage.

    Measures ``imitation_error``, the loss itself.
    """

    name = "imitation"
    paper = "arXiv:1910.00177"
    provides = frozenset({"imitation_error"})
    requires = frozenset({"imitation"})

    weight: Formula = slot("weight of each transition; no gradient flows through it", WEIGHT, "1")

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        gain = {"gain": ctx.batch["gain"]} if "gain" in ctx.batch else {}
        raw = ctx.formula(self.weight, "weight", {}, s=s, a=a, **gain)
        weight = ctx.broadcast(ctx.builder.stop(raw, "constant_weight"), ("batch",), a)
        loss = imitation(ctx, s, a, weight)
        return Loss(loss, {"imitation_error": loss})
