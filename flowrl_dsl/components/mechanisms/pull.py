"""Pull: keeps what is drawn with an action small."""

from __future__ import annotations

from flowrl_dsl.components.auxiliary import drawn_with
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def mean_length(x):
    """E[sqrt(|x|^2 + 1e-8)]; the constant bounds the gradient of the square root at 0."""
    return jnp.mean(jnp.sqrt(jnp.sum(jnp.square(x), axis=-1) + 1e-8))


@register
class Pull(Mechanism):
    """``E[sqrt(|w|^2 + 1e-8)]``, w the auxiliary variable drawn with a sample of the policy.

    For ``coupled_flow`` w is the difference z - y of the two halves, which the loss pulls together.  As the entropy of a
    and w together is constant, the action has the more noise the closer the halves are.
    """

    name = "pull"
    paper = "arXiv:2505.18763"
    requires = frozenset({"auxiliary", "reparameterized"})

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        w = drawn_with(ctx, ctx.draw(ctx.owner, s, "action"))
        return Loss(ctx.builder.add("Loss", call(mean_length, Arg(0)), (w,), SCALAR, "loss"))
