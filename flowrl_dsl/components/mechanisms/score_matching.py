"""Score matching: the noise prediction regresses to a given target."""

from __future__ import annotations

from flowrl_dsl.components.base import Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

TARGET = Slot(
    result=("batch", "action"),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "a_t": ("batch", "action"),
        "noise": ("batch", "action"),
        "alpha": ("batch",),
        "sigma": ("batch",),
        "t": ("batch",),
    },
    functions=("Q", "Q_target", "eps"),
    sizes={"A": "action"},
)


@kernel
def mean_squared_error(x, y):
    """Mean of (x - y)^2 over everything."""
    return jnp.mean(jnp.square(x - y))


@register
class ScoreMatching(Mechanism):
    """``E[(eps(s, a_t, t) - target)^2]``, a from the batch, t uniform, ``a_t = alpha_t a + sigma_t noise``.

    The target is a constant.  Since the score is ``-eps / sigma``, a target ``-sigma grad Q / temperature`` fits the
    score of exp(Q / temperature).
    """

    name = "score_matching"
    paper = "arXiv:2312.11752"
    requires = frozenset({"noise_process", "noise_prediction"})

    target: Formula = slot("what the noise prediction regresses to", TARGET)

    def loss(self, ctx: Context, s: Value, a: Value) -> Value:
        noised = ctx.policy.backbone.noised(ctx, a)
        target = ctx.builder.stop(ctx.formula(self.target, "target", s=s, a=a, **noised.values()))
        target = ctx.broadcast(target, ("batch", "action"), noised.a_t)
        eps = ctx.policy.backbone.predict(ctx, ctx.versions["policy"], s, noised.a_t, noised.t)
        return ctx.builder.add("Loss", call(mean_squared_error, Arg(0), Arg(1)), (eps, target), SCALAR, "loss")
