"""Adam."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Optimizer
from flowrl_dsl.components.context import Context, gradient_norm
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jax, jnp, optax
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def adam_init(params):
    """Zero moments and counter."""
    return optax.scale_by_adam().init(params)


@kernel
def adam(params, gradient, state, learning_rate, b1, b2, eps, clip_norm=None):
    """One step of Adam; the gradient is first scaled to norm ``clip_norm`` where it is longer."""
    if clip_norm is not None:
        scale = jnp.minimum(1.0, clip_norm / (gradient_norm(gradient) + 1e-12))
        gradient = jax.tree.map(lambda g: g * scale, gradient)
    direction, state = optax.scale_by_adam(b1, b2, eps).update(gradient, state)
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction), state


@register
class Adam(Optimizer):
    """``theta -= learning_rate m_hat / (sqrt(v_hat) + eps)`` with bias-corrected moments m_hat and v_hat."""

    name = "adam"
    paper = "arXiv:1412.6980"

    learning_rate: Scalar = option("step size", "3e-4", POSITIVE)
    b1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment")
    b2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment")
    eps: float = Field(1e-8, gt=0, description="added to the denominator")
    clip_norm: Scalar | None = option("bound on the global norm of the gradient; none for no bound", "none", POSITIVE)

    def init(self, ctx: Context, params: Value, name: str) -> Value:
        return ctx.builder.add("Init", call(adam_init, Arg(0)), (params,), TREE, name)

    def step(self, ctx: Context, params: Value, gradient: Value, state: Value) -> tuple[Value, Value]:
        inputs = [params, gradient, state, ctx.scalar(self.learning_rate)]
        options: dict[str, float | Arg] = {"b1": self.b1, "b2": self.b2, "eps": self.eps}
        if self.clip_norm is not None:
            inputs.append(ctx.scalar(self.clip_norm))
            options["clip_norm"] = Arg(4)
        expr = call(adam, *map(Arg, range(4)), **options)
        stepped = ctx.builder.add("GradientStep", expr, inputs, TREE, "step")
        return ctx.builder.item(stepped, 0, params.type, "new"), ctx.builder.item(stepped, 1, TREE, "new_moments")
