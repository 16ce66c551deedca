"""Adam with decoupled weight decay."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.descent import Descent
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Call, call
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register


@register
class AdamW(Descent):
    """``theta -= learning_rate (m_hat / (sqrt(v_hat) + eps) + decay theta)``; the decay does not enter the moments."""

    name = "adamw"
    paper = "arXiv:1711.05101"

    learning_rate: Scalar = option("step size", "3e-4", NOT_NEGATIVE)
    decay: Scalar = option("weight decay", "1e-2", NOT_NEGATIVE)
    b1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment")
    b2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    clip_norm: Scalar | None = option("bound on the global norm of the gradient; none for unbounded", "none", POSITIVE)

    def transformation(self, ctx: Context, inputs: list[Value] | None) -> Call:
        decay = 0.0 if inputs is None else ctx.argument(self.decay, inputs)
        moments = call("optax.scale_by_adam", b1=self.b1, b2=self.b2, eps=self.eps)
        return call("optax.chain", moments, call("optax.add_decayed_weights", decay))
