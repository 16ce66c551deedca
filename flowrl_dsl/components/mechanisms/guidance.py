"""Guidance: the noise prediction moves against a given field, by a loss that is linear in the prediction."""

from __future__ import annotations

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import NOISED
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

ALONG = Slot(
    result=("batch", "action"),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), **NOISED},
    functions=("Q", "Q_target"),
    sizes={"A": "action"},
)


@kernel
def mean_product(x, y):
    """Mean of x y over all axes."""
    return jnp.mean(x * y)


@register
class Guidance(Mechanism):
    """``E[along * eps(s, a_t, t)]``, a from the batch, t random, ``a_t = alpha a + sigma noise``; along is a constant.

    The loss has no minimum of its own: together with ``eta * imitation {}`` the best prediction is the expected noise less
    ``along / (2 eta)``.  With ``along = sigma grad Q`` that is the score of the data's density times exp(Q / (2 eta)).
    """

    name = "guidance"
    paper = "arXiv:2405.20555"
    requires = frozenset({"noise_process", "noise_prediction"})

    along: Formula = slot("field that the predicted noise moves against; no gradient flows through it", ALONG)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, backbone = ctx.builder, ctx.own.backbone
        noised = backbone.noised(ctx, a)
        along = b.stop(ctx.formula(self.along, "along", s=s, a=a, **noised.values()), "fixed_along")
        along = ctx.broadcast(along, ("batch", "action"), noised.a_t)
        said = backbone.predict(*ctx.in_training().actor(ctx.owner, s), noised.a_t, noised.t)
        return Loss(b.add("Loss", call(mean_product, Arg(0), Arg(1)), (along, said), SCALAR, "loss"))
