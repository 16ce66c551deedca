"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.descent import Descent
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Call, call
from flowrl_dsl.registry import NOT_NEGATIVE, POSITIVE, Scalar, option, register


@register
class SGD(Descent):
    """``v <- momentum v + gradient``, ``theta -= learning_rate v``.

    With ``nesterov``, the step is along momentum v + gradient, with the new v.
    """

    name = "sgd"
    paper = "doi:10.1016/0041-5553(64)90137-5"

    learning_rate: Scalar = option("step size", "1e-2", NOT_NEGATIVE)
    momentum: float = Field(0.9, ge=0, lt=1, description="decay of the velocity v; 0 for plain descent")
    nesterov: bool = Field(False, description="whether to use Nesterov momentum")
    clip_norm: Scalar | None = option("bound on the global norm of the gradient; none for unbounded", "none", POSITIVE)

    def transformation(self, ctx: Context, inputs: list[Value] | None) -> Call:
        return call("optax.trace", decay=self.momentum, nesterov=self.nesterov)
