"""Drift: the policy's samples regress to their positions after a step along a field."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import mean_squared_error
from flowrl_dsl.components.context import Context
from flowrl_dsl.formula import variables
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

FIELD = Slot(
    result=("batch", "particle", "action"),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "particle", "action"),
        "others": ("batch", "other", "action"),
    },
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@kernel
def drifted(a, v):
    """a + v within [-1, 1], a constant."""
    return jax.lax.stop_gradient(jnp.clip(a + v, -1.0, 1.0))


@register
class Drift(Mechanism):
    """``E[mean_{N, A} (a - clip(a + V(s, a), -1, 1))^2]``, N samples a of the policy for each state, the clip a constant.

    The gradient flows only through the samples; with respect to them it is ``-2 V`` without clipping, so a small gradient
    step moves each sample along the field V.  The field may depend on ``others``, further samples of each state that are
    not trained: among the trained ones, a sample's distance from itself, 0, would count in what repels it.
    """

    name = "drift"
    paper = "arXiv:2602.04770"
    requires = frozenset({"reparameterized"})

    particles: int = Field(1, ge=1, description="number of policy samples per state")
    others: int = Field(32, ge=1, description="number of further samples, not trained: `others` in the field")
    field: Formula = slot("displacement V of each sample; no gradient flows through it", FIELD)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b = ctx.builder
        drawn = ctx.draw(ctx.owner, s, "samples", particles=self.particles)
        fixed = b.stop(drawn, "fixed_samples")
        values = {"s": s, "a": fixed, **self._others(ctx, s)}
        v = ctx.formula(self.field, "field", sizes={"N": self.particles}, **values)
        v = ctx.broadcast(b.stop(v, "constant_field"), drawn.axes, drawn)
        goal = b.elementwise("drifted", fixed, v, name="goal")
        return Loss(b.add("Loss", call(mean_squared_error, Arg(0), Arg(1)), (drawn, goal), SCALAR, "loss"))

    def unread(self) -> dict[str, str]:
        return {} if "others" in variables(self.field) else {"others": "the field does not mention others"}

    def _others(self, ctx: Context, s: Value) -> dict[str, Value]:
        if "others" not in variables(self.field):
            return {}
        return {"others": ctx.draw(ctx.owner, s, "others", particles=self.others, frozen=True, along="other")}
