"""Shared by optimizers: an optax transformation of gradients, a learning rate, a bound on the gradient's norm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.changing import Optimizer
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.gradients import gradient_norm
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Call, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Scalar

FASTEST = 1e-2
"""A learning rate of a network beyond which Adam rarely settles."""


@kernel
def optimizer_state(transformation, params):
    """The initial state of a transformation of gradients."""
    return transformation.init(params)


@kernel
def gradient_step(transformation, params, gradient, state, learning_rate, clip_norm=None):
    """theta - learning_rate d, d the transformed gradient; gradients are first clipped to the norm ``clip_norm``."""
    if clip_norm is not None:
        scale = jnp.minimum(1.0, clip_norm / (gradient_norm(gradient) + 1e-12))
        gradient = jax.tree.map(lambda g: g * scale, gradient)
    direction, state = transformation.update(gradient, state, params)
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction), state


class Descent(Optimizer):
    """``theta -= learning_rate d(gradient)``, d an optax transformation; learning rate and bound are program inputs."""

    if TYPE_CHECKING:  # subclasses declare these options at the right place among their own
        learning_rate: Scalar
        clip_norm: Scalar | None

    @abstractmethod
    def transformation(self, ctx: Context, inputs: list[Value] | None) -> Call:
        """The transformation as an expression.

        Numbers that are inputs of the program are appended to ``inputs``, those of the node; None if only the shape of
        the state matters.
        """

    def init(self, ctx: Context, params: Value, name: str) -> Value:
        expr = call(optimizer_state, self.transformation(ctx, None), Arg(0))
        return ctx.builder.add("Init", expr, (params,), TREE, name)

    def step(self, ctx: Context, params: Value, gradient: Value, state: Value) -> tuple[Value, Value]:
        inputs = [params, gradient, state, ctx.scalar(self.learning_rate)]
        options = {} if self.clip_norm is None else {"clip_norm": ctx.argument(self.clip_norm, inputs)}
        expr = call(gradient_step, self.transformation(ctx, inputs), *map(Arg, range(4)), **options)
        stepped = ctx.builder.add("GradientStep", expr, inputs, TREE, "step")
        return ctx.builder.item(stepped, 0, params.type, "new"), ctx.builder.item(stepped, 1, TREE, "new_moments")

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """A rate that is probably a slip of the exponent; that of a parameter learned by itself may be larger."""
        rate = at.algorithm.start(self.learning_rate)
        if rate == 0:
            yield warning("FRL0311", "with a learning rate of 0 nothing is trained", at.written("learning_rate"))
        elif rate is not None and rate > FASTEST and at.owner not in at.algorithm.parameters:
            message = f"a learning rate of {rate:g} is beyond what trains well"
            yield warning("FRL0311", message, at.written("learning_rate"), "common values are 1e-4 to 1e-3")
